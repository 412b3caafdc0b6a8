//! What stands in the pages whose price is measured. Guards that the pages are what they are called:
//! zram looks at the content of each page, and the price depends on it.

use serde::{Deserialize, Serialize};

use super::sys::PAGE;

/// Words in a page.
pub const WORDS: usize = PAGE / size_of::<u64>();

/// The kinds of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// One word all over a page, another one in each page: zram keeps the word and no object. The
    /// word is never 0, since pages of zeros do not go to the device at all (6.13 and later).
    SameFilled,
    /// Zeros but for the first word, as the workloads of the live driver write them: lzo-rle keeps a
    /// hundredth or two, and all pages are of one size.
    OneWord,
    /// Every third word is random, the others are all the same: about half under lzo-rle.
    Compressible,
    /// Random: zram keeps the page whole.
    Incompressible,
}

impl Content {
    /// The words of page `page`.
    pub fn words(self, page: usize, random: &mut fastrand::Rng) -> [u64; WORDS] {
        match self {
            Content::SameFilled => [page as u64 | 0x5a << 56; WORDS],
            Content::OneWord => {
                let mut words = [0; WORDS];
                words[0] = random.u64(..) | 1 << 63;
                words
            }
            Content::Compressible => std::array::from_fn(|word| match word % 3 {
                0 => random.u64(..),
                _ => 1,
            }),
            Content::Incompressible => std::array::from_fn(|_| random.u64(..)),
        }
    }

    /// The pages in words; zram took `stored` of their bytes.
    pub fn pages(self, stored: &str) -> String {
        match self {
            Content::SameFilled => "pages of one word, which have no object".into(),
            Content::OneWord => {
                format!("pages of zeros but for one word, which compress to {stored}")
            }
            Content::Compressible => format!("pages that compress to {stored}"),
            Content::Incompressible => "random pages, which are kept whole".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_filled_pages_are_each_one_word_that_is_not_zero() {
        let mut random = fastrand::Rng::with_seed(1);
        let pages = [0, 1].map(|page| Content::SameFilled.words(page, &mut random));
        assert!(pages.iter().all(|page| page[0] != 0 && page.iter().all(|word| *word == page[0])));
        assert_ne!(pages[0], pages[1]);
    }

    #[test]
    fn pages_of_one_word_have_it_in_front_and_differ() {
        let mut random = fastrand::Rng::with_seed(1);
        let pages = [0, 1].map(|page| Content::OneWord.words(page, &mut random));
        assert!(pages.iter().all(|page| page[0] != 0 && page[1..].iter().all(|word| *word == 0)));
        assert_ne!(pages[0], pages[1]);
    }

    #[test]
    fn compressible_pages_are_random_in_a_third_of_their_words() {
        let mut random = fastrand::Rng::with_seed(1);
        let [one, two] = [0, 1].map(|page| Content::Compressible.words(page, &mut random));
        assert_eq!(one.iter().zip(&two).filter(|(a, b)| a != b).count(), WORDS.div_ceil(3));
        let [one, two] = [0, 1].map(|page| Content::Incompressible.words(page, &mut random));
        assert!(one.iter().zip(&two).all(|(a, b)| a != b));
    }
}
