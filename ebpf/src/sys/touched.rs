//! Which pages of a memory were reached since the last look: what two copies of it may differ in.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes that one mark stands for.
pub(super) const PAGE_BYTES: usize = 4096;

/// One bit for each page.
#[derive(Debug)]
pub(super) struct Touched {
    words: Box<[AtomicU64]>,
}

impl Touched {
    /// Every page of so many bytes is marked.
    pub(super) fn all(bytes: usize) -> Touched {
        let pages = bytes.div_ceil(PAGE_BYTES);
        let word = |first: usize| match pages - first {
            rest @ ..64 => (1 << rest) - 1,
            _ => u64::MAX,
        };
        let words = (0..pages).step_by(64).map(word).map(AtomicU64::new);
        Touched {
            words: words.collect(),
        }
    }

    /// Marks the page of an offset. Whoever reads is marked as well: that costs less than to tell.
    pub(super) fn mark(&self, offset: usize) {
        let page = offset / PAGE_BYTES;
        let (word, bit) = (&self.words[page / 64], 1 << (page % 64));
        if word.load(Relaxed) & bit == 0 {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// The pages that are marked; none is afterwards.
    pub(super) fn take(&self) -> impl Iterator<Item = usize> {
        let marked = |(index, word): (usize, &AtomicU64)| {
            let word = word.swap(0, Relaxed);
            (0..64)
                .filter(move |bit| word & 1 << bit != 0)
                .map(move |bit| 64 * index + bit)
        };
        self.words.iter().enumerate().flat_map(marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_taken_once_after_they_are_marked() {
        let bytes = 66 * PAGE_BYTES + 1;
        let touched = Touched::all(bytes);
        assert_eq!(
            touched.take().collect::<Vec<_>>(),
            (0..67).collect::<Vec<_>>()
        );
        assert_eq!(touched.take().count(), 0);
        for offset in [bytes - 1, 64 * PAGE_BYTES, 7, 8] {
            touched.mark(offset);
        }
        assert_eq!(touched.take().collect::<Vec<_>>(), [0, 64, 66]);
    }
}
