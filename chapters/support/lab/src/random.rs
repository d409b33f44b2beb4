//! Names that cannot be guessed.

use std::{fs::File, io, io::Read};

/// 128 random bits in hexadecimal (random(4)).
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
