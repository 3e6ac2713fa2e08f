//! What changed between two objects, as a unified diff of their canonical YAML.

use super::Object;
use super::yaml::to_yaml;

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;

/// The diff that leads from `old` to `new`, empty when they are equal; `None` is no object.
///
/// Lines start with ` `, `-` or `+`; distant changes are separated by a line `...`.
#[must_use]
pub fn diff(old: Option<&Object>, new: Option<&Object>) -> String {
    let text = |object: Option<&Object>| object.map(to_yaml).unwrap_or_default();
    lines(&text(old), &text(new))
}

/// The diff of two texts.
#[must_use]
pub fn lines(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let script = script(&old, &new);
    let near = |at: usize| {
        let from = at.saturating_sub(CONTEXT);
        script.iter().skip(from).take(at - from + CONTEXT + 1).any(|(mark, _)| *mark != ' ')
    };
    let mut text = String::new();
    let mut skipped = false;
    for (at, (mark, line)) in script.iter().enumerate() {
        if !near(at) {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) && !text.is_empty() {
            text.push_str("...\n");
        }
        text.push(*mark);
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Each line of both texts, marked: kept, removed or added.
fn script<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(char, &'t str)> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (kept, old) = old.split_at_checked(head).unwrap_or((old, &[]));
    let new = new.get(head..).unwrap_or_default();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, end) = old.split_at_checked(old.len() - tail).unwrap_or((old, &[]));
    let new = new.get(..new.len() - tail).unwrap_or_default();
    let same = |line: &&'t str| (' ', *line);
    let mut script: Vec<_> = kept.iter().map(same).collect();
    script.extend(middle(old, new));
    script.extend(end.iter().map(same));
    script
}

/// Above this many cells the longest common part is not searched for: everything is replaced.
const MOST_CELLS: usize = 4_000_000;

/// The part between the first and the last difference, by longest common subsequence.
fn middle<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(char, &'t str)> {
    let removed = |line: &&'t str| ('-', *line);
    let added = |line: &&'t str| ('+', *line);
    if old.len().saturating_mul(new.len()) > MOST_CELLS {
        return old.iter().map(removed).chain(new.iter().map(added)).collect();
    }
    let common = Common::of(old, new);
    let (mut i, mut j) = (0, 0);
    let mut script = Vec::with_capacity(old.len() + new.len());
    while let (Some(gone), Some(come)) = (old.get(i), new.get(j)) {
        if gone == come {
            script.push((' ', *gone));
            (i, j) = (i + 1, j + 1);
        } else if common.length(i + 1, j) >= common.length(i, j + 1) {
            script.push(('-', *gone));
            i += 1;
        } else {
            script.push(('+', *come));
            j += 1;
        }
    }
    script.extend(old.iter().skip(i).map(removed));
    script.extend(new.iter().skip(j).map(added));
    script
}

/// Lengths of the longest common subsequence of every pair of tails.
struct Common {
    lengths: Vec<u32>,
    width: usize,
}

impl Common {
    fn of(old: &[&str], new: &[&str]) -> Self {
        let width = new.len() + 1;
        let mut common = Self { lengths: vec![0; (old.len() + 1) * width], width };
        for (i, gone) in old.iter().enumerate().rev() {
            for (j, come) in new.iter().enumerate().rev() {
                let length = if gone == come {
                    common.length(i + 1, j + 1) + 1
                } else {
                    common.length(i + 1, j).max(common.length(i, j + 1))
                };
                if let Some(cell) = common.lengths.get_mut(i * width + j) {
                    *cell = length;
                }
            }
        }
        common
    }

    fn length(&self, i: usize, j: usize) -> u32 {
        self.lengths.get(i * self.width + j).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_marked() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        assert_eq!(lines(old, old), "");
        assert_eq!(lines("a\nb\nc\n", "a\nx\nc\n"), " a\n-b\n+x\n c\n");
        assert_eq!(lines("", "a\nb\n"), "+a\n+b\n");
        assert_eq!(lines("a\n", ""), "-a\n");
        let new = old.replace('a', "A").replace('i', "I");
        assert_eq!(lines(old, &new), "-a\n+A\n b\n c\n d\n...\n f\n g\n h\n-i\n+I\n");
    }

    #[test]
    fn a_diff_rebuilds_both_sides() {
        for (old, new) in [("a b c d", "b c x d"), ("a a b a", "a b a a"), ("x", "a x b x c")] {
            let (old, new): (Vec<&str>, Vec<&str>) =
                (old.split(' ').collect(), new.split(' ').collect());
            let script = script(&old, &new);
            let side = |drop: char| {
                let kept = script.iter().filter(|(mark, _)| *mark != drop);
                kept.map(|(_, line)| *line).collect::<Vec<_>>()
            };
            assert_eq!((side('+'), side('-')), (old, new));
        }
    }
}
