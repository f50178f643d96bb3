//! "Did you mean ...": the nearest valid name for one that is not known.

/// The name in `known` that is most like `wanted`, where one is like enough to be worth saying.
///
/// Likeness is Damerau-Levenshtein similarity without regard to case; names below 0.6 are not
/// offered, since a wild guess misleads more than silence. A `wanted` that is the last dotted part
/// of a known name counts as very like it.
pub fn nearest<'a, I>(wanted: &str, known: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let wanted = wanted.to_lowercase();
    let score = |name: &str| {
        let name = name.to_lowercase();
        let tail = name.rsplit('.').next().unwrap_or(&name);
        let wanted_tail = wanted.rsplit('.').next().unwrap_or(&wanted);
        let whole = strsim::normalized_damerau_levenshtein(&name, &wanted);
        if tail.len() == name.len() && wanted_tail.len() == wanted.len() {
            return whole;
        }
        let by_tail = 0.95 * strsim::normalized_damerau_levenshtein(tail, wanted_tail);
        whole.max(by_tail)
    };
    // Two names whose lengths differ by more than what is left of the likeness cannot be like; most
    // names go here, and the rest costs the product of the lengths.
    let tail_length = |name: &str| name.rsplit('.').next().unwrap_or(name).chars().count();
    let (length, tail) = (wanted.chars().count(), tail_length(&wanted));
    let near = |a: usize, b: usize| a.abs_diff(b) * 5 <= a.max(b) * 2;
    let letters = Letters::of(&wanted);
    known
        .into_iter()
        .filter(|name| near(name.chars().count(), length) || near(tail_length(name), tail))
        .filter(|name| letters.as_ref().is_none_or(|letters| letters.can_be_like(name)))
        .map(|name| (score(name), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// How often each letter is in a name: what two names do not have in common must be changed to make
/// one of the other, and counting is much less work than finding the least changes.
struct Letters {
    counts: [u16; 128],
    length: usize,
}

impl Letters {
    /// `None` for names of which this says nothing: long ones, and those of parts or other letters,
    /// which are compared in another way.
    fn of(name: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii() && byte != b'.';
        if name.len() > usize::from(u16::MAX) || !name.bytes().all(plain) {
            return None;
        }
        let mut counts = [0; 128];
        for byte in name.bytes() {
            counts[usize::from(byte.to_ascii_lowercase())] += 1;
        }
        Some(Self { counts, length: name.len() })
    }

    fn can_be_like(&self, name: &str) -> bool {
        let Some(other) = Self::of(name) else { return true };
        let mut common = 0;
        for (mine, other) in self.counts.iter().zip(&other.counts) {
            common += usize::from(*mine.min(other));
        }
        let longer = self.length.max(other.length);
        // At least so many changes, of which 4 in 10 letters are too many.
        (longer - common) * 5 <= longer * 2
    }
}

/// The end of a "not found" sentence: the nearest name, else the few that there are, else nothing.
///
/// ```
/// use xenrt_core::nearest::hint;
/// assert_eq!(hint("hots", ["host", "guest"]), "; did you mean \"host\"?");
/// assert_eq!(hint("zzz", ["host", "guest"]), "; known: guest, host");
/// assert_eq!(hint("zzz", []), "");
/// ```
pub fn hint<'a, I>(wanted: &str, known: I) -> String
where
    I: IntoIterator<Item = &'a str>,
{
    const MOST_LISTED: usize = 12;
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    if let Some(name) = nearest(wanted, known.iter().copied()) {
        return format!("; did you mean {name:?}?");
    }
    match known.len() {
        0 => String::new(),
        n if n <= MOST_LISTED => format!("; known: {}", known.join(", ")),
        n => format!("; known: {}, ... ({n} in all)", known[..MOST_LISTED].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_noise_finds_none() {
        let known = ["network.hfx745", "network.hfx799", "lifecycle.reboot"];
        assert_eq!(nearest("network.hfx754", known), Some("network.hfx745"));
        assert_eq!(nearest("Network.HFX799", known), Some("network.hfx799"));
        assert_eq!(nearest("qqqqqqqqq", known), None);
    }

    #[test]
    fn the_last_part_alone_is_enough() {
        let known = ["testcases.xenserver.tc.network.TCHfx745", "guestops.srm.TCMigrate"];
        assert_eq!(nearest("TCMigrat", known), Some("guestops.srm.TCMigrate"));
    }
}
