//! The memory of another process, and where in it a needle lies. Reads `/proc/PID/mem` as a debugger does: as root.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where a needle begins in its text what all of its kind do not share.
const KEY_AT: usize = 8;
const KEY_BYTES: usize = 4;
/// Memory is read in such pieces; the overlap is the longest needle.
const PIECE_BYTES: usize = 64 * 1024;
const OVERLAP_BYTES: usize = 64;

/// What is looked for, by name.
#[derive(Default)]
pub(crate) struct Needles {
    by_key: HashMap<[u8; KEY_BYTES], Vec<(String, Vec<u8>)>>,
    /// The first two bytes of the keys: most places of a memory are none.
    begins: Vec<bool>,
}

impl Needles {
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        let key = key_of(bytes).unwrap();
        self.begins.resize(1 << 16, false);
        self.begins[begin(key)] = true;
        self.by_key.entry(key).or_default().push((name.to_owned(), bytes.to_owned()));
    }

    fn at<'a>(&'a self, memory: &'a [u8], place: usize) -> impl Iterator<Item = &'a str> {
        let key = key_of(&memory[place..]).filter(|key| self.begins[begin(*key)]);
        let those = key.and_then(|key| self.by_key.get(&key)).into_iter().flatten();
        those.filter(move |(_, bytes)| memory[place..].starts_with(bytes)).map(|(name, _)| name.as_str())
    }
}

fn key_of(bytes: &[u8]) -> Option<[u8; KEY_BYTES]> {
    bytes.get(KEY_AT..KEY_AT + KEY_BYTES)?.try_into().ok()
}

fn begin(key: [u8; KEY_BYTES]) -> usize {
    usize::from(u16::from_le_bytes([key[0], key[1]]))
}

/// A place where a needle was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) needle: String,
    /// The mapping, as `/proc/PID/maps` names it, and what lies around, for the one who looks for the copy.
    pub(crate) place: String,
}

/// Every place of the writable memory of a process where a needle is.
pub(crate) fn search(process: u32, needles: &Needles) -> Vec<Found> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = Vec::new();
    let (mut bytes, nothing) = (vec![0; PIECE_BYTES + OVERLAP_BYTES], vec![0; PIECE_BYTES + OVERLAP_BYTES]);
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|bound| u64::from_str_radix(bound, 16).unwrap());
        let mapping = rest.split_whitespace().nth(4).unwrap_or("(anonymous)");
        for from in (start..end).step_by(PIECE_BYTES) {
            let length = usize::try_from(end - from).unwrap().min(PIECE_BYTES + OVERLAP_BYTES);
            let bytes = &mut bytes[..length];
            // What cannot be read, as the mappings of devices, holds nothing of the process. Most of an arena was never written.
            if memory.read_exact_at(bytes, from).is_err() || bytes == &nothing[..length] {
                continue;
            }
            for place in 0..bytes.len().min(PIECE_BYTES) {
                for needle in needles.at(bytes, place) {
                    let around = &bytes[place.saturating_sub(96)..(place + 96).min(bytes.len())];
                    let owner = owner(process, start..end).unwrap_or_else(|| mapping.to_owned());
                    let place = format!("{owner} {:x}: {}", from + place as u64, around.escape_ascii());
                    found.push(Found { needle: needle.to_owned(), place });
                }
            }
        }
    }
    found
}

/// The thread whose stack a mapping is, by its stack pointer (proc(5): `syscall`); none where it is no stack, or it runs.
fn owner(process: u32, mapping: std::ops::Range<u64>) -> Option<String> {
    std::fs::read_dir(format!("/proc/{process}/task")).ok()?.filter_map(Result::ok).find_map(|thread| {
        let registers = std::fs::read_to_string(thread.path().join("syscall")).ok()?;
        let pointer = registers.split_whitespace().rev().nth(1)?.trim_start_matches("0x").to_owned();
        let is_its = mapping.contains(&u64::from_str_radix(&pointer, 16).ok()?);
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        is_its.then(|| format!("stack of {} at {pointer}", name.trim_end()))
    })
}
