//! What a program takes of a microcontroller's memory, read from the sections of its ELF file.

use anyhow::{Context, Result, bail};

/// Bytes of each kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Code, constants, and the first values of statics.
    pub(crate) flash: u64,
    /// Statics; the stack comes on top.
    pub(crate) ram: u64,
}

// elf(5).
const ALLOCATED: u32 = 2;
const WRITABLE: u32 = 1;
const WITHOUT_BYTES: u32 = 8;

/// Adds up the sections of a little-endian 32-bit ELF file.
pub(crate) fn memory_of(file: &[u8]) -> Result<Memory> {
    if !file.starts_with(b"\x7fELF\x01\x01") {
        bail!("no little-endian 32-bit ELF file");
    }
    let word = |at: usize| -> Result<u32> {
        let bytes =
            file.get(at..).and_then(|rest| rest.first_chunk()).context("the ELF file is cut short")?;
        Ok(u32::from_le_bytes(*bytes))
    };
    // At 46 two numbers of 16 bits: the size of an entry, and how many there are.
    let (table, entries) = (word(32)? as usize, word(46)?);
    let (size, count) = ((entries & 0xffff) as usize, (entries >> 16) as usize);
    let mut memory = Memory { flash: 0, ram: 0 };
    for section in (0..count).map(|index| table + index * size) {
        let (kind, flags, bytes) = (word(section + 4)?, word(section + 8)?, u64::from(word(section + 20)?));
        if flags & ALLOCATED == 0 {
            continue;
        }
        if kind != WITHOUT_BYTES {
            memory.flash += bytes;
        }
        if flags & WRITABLE != 0 {
            memory.ram += bytes;
        }
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with sections of (kind, flags, size), and nothing else that is read.
    fn file(sections: &[(u32, u32, u32)]) -> Vec<u8> {
        let mut file = vec![0; 52];
        file[..6].copy_from_slice(b"\x7fELF\x01\x01");
        file[32..36].copy_from_slice(&52_u32.to_le_bytes());
        file[46..48].copy_from_slice(&40_u16.to_le_bytes());
        file[48..50].copy_from_slice(&u16::try_from(sections.len()).unwrap().to_le_bytes());
        for (kind, flags, size) in sections {
            for word in [0, *kind, *flags, 0, 0, *size, 0, 0, 0, 0] {
                file.extend(word.to_le_bytes());
            }
        }
        file
    }

    /// Catches: statics with a first value that count once, and debug information that counts at all.
    #[test]
    fn each_section_counts_where_it_lies() {
        let code = (1, 6, 1000);
        let (data, bss, debug) = ((1, 3, 20), (8, 3, 300), (1, 0, 50_000));
        let memory = memory_of(&file(&[(0, 0, 0), code, data, bss, debug])).unwrap();
        assert_eq!(memory, Memory { flash: 1020, ram: 320 });
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        assert!(memory_of(b"").is_err() && memory_of(b"#!/bin/sh").is_err());
        let whole = file(&[(1, 6, 1000)]);
        assert!(memory_of(&whole[..whole.len() - 30]).is_err());
    }
}
