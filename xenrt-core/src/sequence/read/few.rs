//! A set that mostly has few members.

use std::hash::Hash;

use super::reader::FastSet;

/// A set that is a list while it is short, which costs less than hashes do.
#[derive(Debug)]
pub(super) enum Few<T> {
    Short(Vec<T>),
    Long(FastSet<T>),
}

impl<T> Few<T> {
    const SHORT: usize = 16;
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Short(Vec::new())
    }
}

impl<T: Eq + Hash> Few<T> {
    /// Takes one more; `false` where it is there already.
    pub(super) fn insert(&mut self, new: T) -> bool {
        let list = match self {
            Self::Long(set) => return set.insert(new),
            Self::Short(list) => list,
        };
        if list.contains(&new) {
            return false;
        }
        list.push(new);
        if list.len() > Self::SHORT {
            *self = Self::Long(std::mem::take(list).into_iter().collect());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_it_once_however_many_there_are() {
        let mut few = Few::default();
        for number in 0..100 {
            assert!(few.insert(number));
            assert!((0..=number).all(|known| !few.insert(known)));
        }
        assert!(matches!(few, Few::Long(_)));
    }
}
