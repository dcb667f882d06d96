//! A fuzzer without coverage, for machines without libFuzzer: it changes inputs of the corpus, in the same way each time.

/// Changes inputs.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

/// Inputs do not grow beyond this.
const LONGEST: usize = 8192;
/// Bytes that mean something in one of the formats.
const SIGNS: &[u8] = b"\0\t\n \"#%&,-./0123456789:;<=>?@[\\]_{|}\x7f\x80\xff";

impl Mutator {
    /// A mutator whose changes follow from `name`.
    pub fn new(name: &str) -> Self {
        // FNV-1a.
        let hash = |state: u64, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { state: name.bytes().fold(0xcbf2_9ce4_8422_2325, hash) }
    }

    /// A changed input out of `corpus`, with words from `words`.
    pub fn next(&mut self, corpus: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.change(&mut input, corpus, words);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let length = self.below(16.min(input.len() - at) + 1);
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = *self.pick(SIGNS).unwrap_or(&0),
            2 => input.insert(at, *self.pick(SIGNS).unwrap_or(&0)),
            3 => drop(input.drain(at..at + length)),
            4 => {
                let copy = input[at..at + length].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            5 => {
                // The end of another input, from anywhere in it.
                let other = self.pick(corpus).cloned().unwrap_or_default();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            _ => {
                // A word, in place of something or between.
                let word = self.pick(words).cloned().unwrap_or_default();
                let end = at + if self.below(2) == 0 { 0 } else { length };
                input.splice(at..end, word);
            }
        }
    }

    fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        let index = self.below(list.len().max(1));
        list.get(index)
    }

    /// A number below `bound`: SplitMix64 (Steele, Lea, Flood 2014).
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.state;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((drawn ^ (drawn >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// The words of a dictionary as libFuzzer reads it: `"word"` or `name="word"`, with `\\`, `\"` and `\xAB`.
pub fn words(dictionary: &str) -> Vec<Vec<u8>> {
    let lines = dictionary.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| word(line).unwrap_or_else(|| panic!("not a word: {line}"))).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let (_, rest) = line.split_once('"')?;
    let mut rest = rest.strip_suffix('"')?.bytes();
    let mut word = Vec::new();
    while let Some(byte) = rest.next() {
        word.push(match byte {
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            },
            other => other,
        });
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_many_and_always_the_same() {
        let corpus = [b"one two".to_vec(), Vec::new(), b"three".to_vec()];
        let run = |name: &str| {
            let mut mutator = Mutator::new(name);
            (0..1000).map(|_| mutator.next(&corpus, &[b"word".to_vec()])).collect::<Vec<_>>()
        };
        assert_eq!(run("a"), run("a"));
        assert_ne!(run("a"), run("b"));
        let distinct: std::collections::BTreeSet<_> = run("a").into_iter().collect();
        assert!(distinct.len() > 500, "{}", distinct.len());
        assert!(Mutator::new("a").next(&[], &[]).len() <= LONGEST);
    }

    #[test]
    fn dictionaries_are_read() {
        let text = "# words\n\"a b\"\n\nname=\"\\x00\\\\\\\"\"\n";
        assert_eq!(words(text), [b"a b".to_vec(), b"\0\\\"".to_vec()]);
    }
}
