//! Random bytes that nobody can guess.

use std::fs::File;
use std::io::{self, Read};

/// So many bytes of the system's random source.
///
/// # Errors
/// When the source cannot be opened or read.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
