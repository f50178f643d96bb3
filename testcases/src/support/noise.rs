//! Bytes that nothing makes fewer: no compression, no sharing of pages.

/// A stream that follows from `seed`, eight bytes at a time (splitmix64).
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = [u8; 8]> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // The first numbers of the generator's reference implementation for the seed 1234567.
        let numbers: Vec<u64> = noise(1_234_567).take(3).map(u64::from_le_bytes).collect();
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}
