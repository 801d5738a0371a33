//! Splitting entries that are too large for one call or one transaction.

/// Splits entries into batches: at most `most` entries and `bytes` bytes each, in order. An entry that is larger than a batch is a
/// batch of its own.
pub fn batches<T>(entries: Vec<T>, most: usize, bytes: usize, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut used = 0;
    for entry in entries {
        let needs = size(&entry);
        match batches.last_mut() {
            Some(batch) if batch.len() < most && used + needs <= bytes => {
                used += needs;
                batch.push(entry);
            }
            _ => {
                used = needs;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_split_by_entries() {
        let lengths = |n: usize, most| -> Vec<usize> {
            let batches = batches((0..n).collect(), most, usize::MAX, |_| 1);
            assert_eq!(batches.iter().flatten().copied().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>(), "all, in order");
            batches.iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(0, 10), [0; 0]);
        assert_eq!(lengths(10, 10), [10]);
        assert_eq!(lengths(11, 10), [10, 1]);
        assert_eq!(lengths(51, 25), [25, 25, 1]);
        assert_eq!(lengths(201, 100), [100, 100, 1]);
    }

    #[test]
    fn batches_are_split_by_bytes() {
        const MOST: usize = 1 << 20;
        let sizes = |sizes: &[usize]| -> Vec<Vec<usize>> { batches(sizes.to_vec(), 10, MOST, |size| *size) };
        let half = MOST / 2;
        assert_eq!(sizes(&[half, half, 1]), [vec![half, half], vec![1]]);
        assert_eq!(sizes(&[1, MOST, 1]), [vec![1], vec![MOST], vec![1]]);
        assert_eq!(sizes(&[MOST + 1, 1]), [vec![MOST + 1], vec![1]]);
    }
}
