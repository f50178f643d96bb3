//! Signs of a text, looked for in sixteen bytes at a time.
//!
//! What is looked for is near: a name, an indentation, the value of an attribute. Searches that are
//! made for long texts cost more to begin than these take in all.

use wide::u8x16;

/// So many bytes are looked at together.
const LANES: usize = 16;

/// The bytes from here on; `None` where there are fewer than are looked at together.
#[inline]
fn window(text: &[u8], at: usize) -> Option<[u8; LANES]> {
    text.get(at..)?.first_chunk().copied()
}

/// All bits of each byte that is this one, and none of the others.
#[inline]
fn equal(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// Bytes of a text as one number, which costs less to compare than a slice; `None` where they are
/// more than fit in, or near the end of the text.
#[inline]
pub(super) fn packed(text: &[u8], at: usize, length: usize) -> Option<u128> {
    let unused = LANES.checked_sub(length).filter(|_| length > 0)?;
    let window = window(text, at)?;
    Some(u128::from_le_bytes(window) & (u128::MAX >> (8 * unused)))
}

/// Where the first byte from `at` on is that is neither a space, a tab nor a line end.
#[inline]
pub(super) fn end_of_space(text: &[u8], mut at: usize) -> usize {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\n' | b'\t');
    // Between attributes it is one space.
    if text.get(at).is_none_or(|byte| !is_space(*byte)) {
        return at;
    }
    at += 1;
    if text.get(at).is_none_or(|byte| !is_space(*byte)) {
        return at;
    }
    while let Some(window) = window(text, at) {
        let bytes = u8x16::new(window);
        let space = equal(bytes, b' ') | equal(bytes, b'\n') | equal(bytes, b'\t');
        let length = space.to_bitmask().trailing_ones() as usize;
        at += length;
        if length < LANES {
            return at;
        }
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len())
}

/// Where the value of an attribute from `at` on ends, and whether a `$` or `%` is in it. It ends at
/// the sign of quotation, or before that at what changes its meaning: `<`, and what is below a
/// space. Values hold no `&` here.
#[inline]
pub(super) fn end_of_value(text: &[u8], mut at: usize, quote: u8) -> (usize, bool) {
    let mut refers = false;
    while let Some(window) = window(text, at) {
        let bytes = u8x16::new(window);
        let control = bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes);
        let end = (equal(bytes, quote) | equal(bytes, b'<') | control).to_bitmask();
        let reference = (equal(bytes, b'$') | equal(bytes, b'%')).to_bitmask();
        let length = end.trailing_zeros();
        // Those before the end; all sixteen where it is not among them.
        let before = (1_u32 << length.min(u32::BITS - 1)) - 1;
        refers |= reference & before != 0;
        if end != 0 {
            return (at + length as usize, refers);
        }
        at += LANES;
    }
    for byte in text.get(at..).unwrap_or_default() {
        if *byte == quote || *byte == b'<' || *byte < b' ' {
            break;
        }
        refers |= matches!(byte, b'$' | b'%');
        at += 1;
    }
    (at, refers)
}

/// Finds every `\n`; says whether all bytes are ASCII.
#[inline]
pub(super) fn each_line_end(text: &[u8], mut found: impl FnMut(usize)) -> bool {
    // Four at once: the ends of about two lines are among them, whose number is guessed well.
    const TOGETHER: usize = 4 * LANES;
    let mut any = u8x16::splat(0);
    let (blocks, rest) = text.as_chunks::<TOGETHER>();
    for (index, block) in blocks.iter().enumerate() {
        let mut ends = 0_u64;
        for (part, bytes) in block.as_chunks::<LANES>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            any |= bytes;
            ends |= u64::from(equal(bytes, b'\n').to_bitmask()) << (part * LANES);
        }
        while ends != 0 {
            found(index * TOGETHER + ends.trailing_zeros() as usize);
            ends &= ends - 1;
        }
    }
    let start = text.len() - rest.len();
    for (at, byte) in rest.iter().enumerate() {
        if *byte == b'\n' {
            found(start + at);
        }
    }
    any.to_bitmask() == 0 && rest.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_value(text: &[u8], at: usize, quote: u8) -> (usize, bool) {
        let rest = text.get(at..).unwrap_or_default();
        let ends = |byte: &u8| *byte == quote || *byte == b'<' || *byte < b' ';
        let value = rest.split(ends).next().unwrap_or_default();
        (at + value.len(), value.contains(&b'$') || value.contains(&b'%'))
    }

    #[test]
    fn short_names_are_one_number() {
        let text = b"<name of=\"a\" abcdefghijklmnopq/>";
        assert_eq!(packed(text, 1, 4), Some(u128::from(u32::from_le_bytes(*b"name"))));
        assert_eq!(packed(text, 13, 16), Some(u128::from_le_bytes(*b"abcdefghijklmnop")));
        for (at, length) in [(1, 0), (13, 17), (text.len() - 4, 2), (99, 1)] {
            assert_eq!(packed(text, at, length), None, "{length} bytes at {at}");
        }
    }

    proptest! {
        #[test]
        fn values_end_where_they_do(text in "[a\"'<$% \n\u{e4}]{0,12}[a-z]{0,40}[\"'$\t]{0,3}", at in 0_usize..60) {
            for quote in [b'"', b'\''] {
                let found = end_of_value(text.as_bytes(), at, quote);
                prop_assert_eq!(found, slow_value(text.as_bytes(), at, quote));
            }
        }

        #[test]
        fn space_ends_where_it_does(text in "[ \n\t]{0,40}[a ]{0,3}[ ]{0,20}", at in 0_usize..60) {
            let rest = text.get(at..).unwrap_or_default();
            let expected = at + rest.len() - rest.trim_start().len();
            prop_assert_eq!(end_of_space(text.as_bytes(), at), expected);
        }

        #[test]
        fn every_line_end_is_found(text in "[a\n]{0,20}[a-z]{0,100}[a\n\u{e4}]{0,90}") {
            let mut found = Vec::new();
            let ascii = each_line_end(text.as_bytes(), |at| found.push(at));
            let expected: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(ascii, text.is_ascii());
        }
    }
}
