//! Which known word somebody probably meant.

/// The candidate that is nearest to `word`, if it is near enough to be meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // About one slip in three letters; more than that is another word.
    let far = word.chars().count() / 3 + 1;
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= far && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let changed = last[j] + usize::from(!a[i].eq_ignore_ascii_case(&b[j]));
            let mut least = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_word() {
        let known = ["listen", "name", "identity", "advertise"];

        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("nmae", known), Some("name"));
        assert_eq!(nearest("identety", known), Some("identity"));
        assert_eq!(nearest("Listen", known), Some("listen"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("port", ["listen", "name", "identity"]), None);
        assert_eq!(nearest("x", ["a", "b"]), None);
        assert_eq!(nearest("", ["name"]), None);
    }
}
