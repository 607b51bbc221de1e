//! Randomness comes from the operating system only. A generator in user space would be copied
//! by a snapshot of the process or machine and then repeat itself.

pub use subrosa_ambient::RandomnessError;

/// Where random bytes come from. In the product this is always [`Os`]; tests that pin byte
/// transcripts inject a fixed sequence.
pub(crate) trait Entropy {
    /// Fills the whole buffer or fails.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), RandomnessError>;

    /// A fresh array.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RandomnessError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

/// The operating system's generator.
pub(crate) struct Os;

impl Entropy for Os {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        subrosa_ambient::fill(buffer)
    }
}
