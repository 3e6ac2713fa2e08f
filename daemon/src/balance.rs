//! Which backend of a split, and which of its endpoints.
//!
//! Smooth weighted round robin, as nginx has it: exact shares, in an even order. Where a pick stood
//! is kept per split and per subset under a stable slot, one copy per worker, so that a new
//! snapshot does not start over and no worker waits for another.

use crate::model::Health;
use crate::state::{Backend, Snapshot, Split};

/// One worker's place in every rotation.
#[derive(Debug, Default)]
pub(crate) struct Balancer {
    splits: Vec<Rotation>,
    subsets: Vec<Rotation>,
}

/// The endpoint picked and what there was to pick from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) backend: Backend,
    /// Index into `Snapshot::endpoints`.
    pub(crate) endpoint: usize,
    /// Nothing was ready, so everything was tried.
    pub(crate) panic: bool,
    /// Endpoints that were ready, of how many.
    pub(crate) ready: u16,
    pub(crate) of: u16,
}

impl Balancer {
    /// The next endpoint of `split`, none of `failed` (indices into `Snapshot::endpoints`).
    ///
    /// A backend without a ready endpoint gets no share while another has one.
    pub(crate) fn pick(
        &mut self,
        snapshot: &Snapshot,
        split: &Split,
        failed: &[usize],
    ) -> Option<Choice> {
        let backend = match split.backends.as_slice() {
            [only] => *only,
            several => {
                let candidates = several.iter().map(|backend| Candidate {
                    id: backend_id(*backend),
                    weight: backend.weight,
                    standing: best(snapshot, *backend, failed),
                });
                let at = slot(&mut self.splits, split.slot)?.next(candidates)?;
                *several.get(at)?
            }
        };
        self.endpoint(snapshot, backend, failed)
    }

    fn endpoint(
        &mut self,
        snapshot: &Snapshot,
        backend: Backend,
        failed: &[usize],
    ) -> Option<Choice> {
        let subset = snapshot.services.get(backend.service)?.subsets.get(backend.subset)?;
        let (mut ready, mut of) = (0_u16, 0_u16);
        for &index in &subset.endpoints {
            let standing = standing(snapshot, backend, index);
            of = of.saturating_add(u16::from(standing != Standing::Out));
            ready = ready.saturating_add(u16::from(standing == Standing::Ready));
        }
        let candidates = subset.endpoints.iter().map(|&index| {
            let (id, weight) =
                snapshot.endpoints.get(index).map_or((0, 0), |e| (u64::from(e.id), e.weight));
            let tried = failed.contains(&index);
            let standing = if tried { Standing::Out } else { standing(snapshot, backend, index) };
            Candidate { id, weight, standing }
        });
        let at = slot(&mut self.subsets, subset.slot)?.next(candidates)?;
        let endpoint = *subset.endpoints.get(at)?;
        let panic = standing(snapshot, backend, endpoint) != Standing::Ready;
        Some(Choice { backend, endpoint, panic, ready, of })
    }
}

/// How good a candidate is now; only the best kind present takes part in a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Failed in this request already, or of another port.
    Out,
    Down,
    /// Its first probe is still to come.
    Unproven,
    Ready,
}

fn standing(snapshot: &Snapshot, backend: Backend, endpoint: usize) -> Standing {
    let endpoint = snapshot.endpoints.get(endpoint).filter(|e| e.port == backend.port);
    match endpoint.map(|endpoint| endpoint.live.health()) {
        Some(Health::Unchecked | Health::Healthy) => Standing::Ready,
        Some(Health::Unknown) => Standing::Unproven,
        Some(Health::Unhealthy) => Standing::Down,
        None => Standing::Out,
    }
}

/// The best standing among a backend's endpoints.
fn best(snapshot: &Snapshot, backend: Backend, failed: &[usize]) -> Standing {
    let subset = snapshot.services.get(backend.service).and_then(|s| s.subsets.get(backend.subset));
    let endpoints = subset.map(|subset| subset.endpoints.as_slice()).unwrap_or_default();
    let mut best = Standing::Out;
    for &endpoint in endpoints.iter().filter(|endpoint| !failed.contains(endpoint)) {
        best = best.max(standing(snapshot, backend, endpoint));
        if best == Standing::Ready {
            break;
        }
    }
    best
}

fn slot(rotations: &mut Vec<Rotation>, slot: u32) -> Option<&mut Rotation> {
    let slot = usize::try_from(slot).ok()?;
    if rotations.len() <= slot {
        rotations.resize_with(slot + 1, Rotation::default);
    }
    rotations.get_mut(slot)
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: u64,
    weight: u32,
    standing: Standing,
}

/// Smooth weighted round robin: every candidate gains its weight, the richest is picked and pays
/// the sum of all.
#[derive(Debug, Default)]
struct Rotation {
    turns: Vec<Turn>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    id: u64,
    credit: i64,
}

impl Rotation {
    /// Position of the next candidate.
    fn next(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) -> Option<usize> {
        let weighty = candidates.clone().filter(|candidate| candidate.weight > 0);
        let best = weighty.map(|candidate| candidate.standing).max()?;
        if best == Standing::Out {
            return None;
        }
        self.align(candidates.clone());
        let mut sum = 0;
        let mut richest: Option<(usize, i64)> = None;
        for (at, (turn, candidate)) in self.turns.iter_mut().zip(candidates).enumerate() {
            if candidate.standing != best || candidate.weight == 0 {
                continue;
            }
            turn.credit += i64::from(candidate.weight);
            sum += i64::from(candidate.weight);
            if richest.is_none_or(|(_, credit)| turn.credit > credit) {
                richest = Some((at, turn.credit));
            }
        }
        let (at, _) = richest?;
        self.turns.get_mut(at)?.credit -= sum;
        Some(at)
    }

    /// Makes the turns those of `candidates`; who stays keeps its credit.
    fn align(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) {
        if self.turns.iter().map(|turn| turn.id).eq(candidates.clone().map(|c| c.id)) {
            return;
        }
        let old = std::mem::take(&mut self.turns);
        let credit = |id| old.iter().find(|turn| turn.id == id).map_or(0, |turn| turn.credit);
        self.turns = candidates.map(|c| Turn { id: c.id, credit: credit(c.id) }).collect();
    }
}

fn backend_id(backend: Backend) -> u64 {
    // Indices move when a service is added; a split's rotation then starts over, which is harmless.
    (backend.service as u64) << 32 | backend.subset as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: LB-04
    #[test]
    fn weights_5_1_1_go_a_a_b_a_c_a_a() {
        assert_eq!(picks(&mut Rotation::default(), "a:5 b:1 c:1", 14), "aabacaaaabacaa");
    }

    // covers: LB-01, LB-02
    #[test]
    fn equal_weights_take_turns_from_the_first() {
        assert_eq!(picks(&mut Rotation::default(), "a:1 b:1 c:1", 7), "abcabca");
    }

    // covers: LB-03, ROUTE-10, ROUTE-11
    #[test]
    fn shares_are_exact_over_a_whole_round() {
        let drawn = picks(&mut Rotation::default(), "a:80 b:20", 10_000);
        assert_eq!(drawn.matches('b').count(), 2_000);
        assert!(!drawn.contains("bb"), "the canary never comes twice in a row");
        assert!(
            drawn
                .as_bytes()
                .windows(4)
                .all(|four| four.iter().filter(|&&p| p == b'b').count() <= 1)
        );
    }

    // covers: LB-07
    #[test]
    fn what_is_down_gets_nothing_while_something_is_ready() {
        assert_eq!(picks(&mut Rotation::default(), "a:1 b:1:down c:1:unproven", 3), "aaa");
        assert_eq!(picks(&mut Rotation::default(), "a:1:out b:1:down c:1:unproven", 2), "cc");
    }

    #[test]
    fn when_all_are_down_all_are_tried() {
        assert_eq!(picks(&mut Rotation::default(), "a:1:down b:1:down", 4), "abab");
        assert_eq!(picks(&mut Rotation::default(), "a:1:out", 1), "-");
        assert_eq!(picks(&mut Rotation::default(), "a:0 b:0", 1), "-");
    }

    // covers: LB-13
    #[test]
    fn a_newcomer_gets_its_share_at_once_and_the_others_keep_their_turn() {
        let mut rotation = Rotation::default();
        assert_eq!(picks(&mut rotation, "a:1 b:1", 3), "aba");
        let drawn = picks(&mut rotation, "a:1 b:1 c:1", 300);
        for name in ["a", "b", "c"] {
            assert!((99..=101).contains(&drawn.matches(name).count()), "{name} in {drawn}");
        }
    }

    /// Who is picked `times` times from "name:weight[:standing]" candidates.
    fn picks(rotation: &mut Rotation, candidates: &str, times: usize) -> String {
        let parse = |text: &str| {
            let parts: Vec<&str> = text.split(':').collect();
            let standing = match parts.get(2) {
                None => Standing::Ready,
                Some(&"down") => Standing::Down,
                Some(&"unproven") => Standing::Unproven,
                Some(_) => Standing::Out,
            };
            let id = u64::from(parts[0].as_bytes()[0]);
            Candidate { id, weight: parts[1].parse().unwrap(), standing }
        };
        let candidates: Vec<Candidate> = candidates.split(' ').map(parse).collect();
        let mut drawn = String::new();
        for _ in 0..times {
            let at = rotation.next(candidates.iter().copied());
            let name = at.map_or('-', |at| char::from(u8::try_from(candidates[at].id).unwrap()));
            drawn.push(name);
        }
        drawn
    }
}
