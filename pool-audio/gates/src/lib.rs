//! What an audio thread does that it should not: calls of the allocator, page faults, system calls.

pub mod allocator;
pub mod kernel;
