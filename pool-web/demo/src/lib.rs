//! The demo of `pool-web`: a drum sequencer whose voices are pooled nodes and pooled buffers, and the same with fresh
//! ones, to watch the difference.
//!
//! | Module | What |
//! |---|---|
//! | [`rng`] | reproducible variation |
//! | [`pattern`] | what is played: the groove, and grains that fill it up to any rate |
//! | [`schedule`] | when it is played: look-ahead on the audio clock |
//! | [`kit`] | the recordings and slices of them |
//! | [`census`] | what is counted |
//! | `scratch` | the samples of a voice on their way into its buffer |
//! | `supply` | where a voice's nodes and buffer come from: the pools, or the browser |
//! | `engine` | voices, master bus, and the interface for the page |
//! | `trial` | every type of node, used and released once, to see what becomes of it |
//!
//! The last four need a browser; the others are tested on the host.
#![deny(missing_docs)]

pub mod census;
pub mod kit;
pub mod pattern;
pub mod rng;
pub mod schedule;

#[cfg(target_arch = "wasm32")]
pub mod engine;
#[cfg(target_arch = "wasm32")]
mod scratch;
#[cfg(target_arch = "wasm32")]
mod supply;
#[cfg(target_arch = "wasm32")]
mod trial;

/// The examples of the workspace's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
