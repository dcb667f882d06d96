//! In which order operations are performed.

/// What is done with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is performed, without what is deferred.
    Perform(usize),
    /// What was deferred is added.
    Amend(usize),
}

/// The turns of all operations, and of each the needs that are deferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) turns: Vec<Turn>,
    pub(super) deferred: Vec<Vec<usize>>,
}

/// Operations come in the order of the request, but each after those that it needs. `needs` are, for each operation,
/// those that create what it refers to. Where they need each other in a circle, the one that closes it is performed
/// without, and amended as soon as what it needs is there.
pub(super) fn order(needs: &[Vec<usize>]) -> Order {
    let mut order = Order { turns: Vec::new(), deferred: vec![Vec::new(); needs.len()] };
    let mut states = vec![State::New; needs.len()];
    let mut waiting: Vec<usize> = Vec::new();
    for first in 0..needs.len() {
        // Not by recursion: a chain may be as long as the request.
        let mut stack = Vec::new();
        if enter(&mut states, first) {
            stack.push((first, needs.get(first).into_iter().flatten()));
        }
        while let Some((operation, needed)) = stack.last_mut() {
            let operation = *operation;
            if let Some(need) = needed.next() {
                if enter(&mut states, *need) {
                    stack.push((*need, needs.get(*need).into_iter().flatten()));
                } else if states.get(*need) == Some(&State::Begun)
                    && let Some(deferred) = order.deferred.get_mut(operation)
                {
                    deferred.push(*need);
                }
                continue;
            }
            stack.pop();
            if let Some(state) = states.get_mut(operation) {
                *state = State::Performed;
            }
            order.turns.push(Turn::Perform(operation));
            let is_deferred = |operation: usize| order.deferred.get(operation).into_iter().flatten();
            if is_deferred(operation).next().is_some() {
                waiting.push(operation);
            }
            let is_ready = |operation: &usize| {
                is_deferred(*operation).all(|need| states.get(*need) == Some(&State::Performed))
            };
            let (ready, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
            waiting = others;
            order.turns.extend(ready.into_iter().map(Turn::Amend));
        }
    }
    order
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// What it needs is being performed.
    Begun,
    Performed,
}

/// Begins an operation, unless it was begun before.
fn enter(states: &mut [State], operation: usize) -> bool {
    match states.get_mut(operation) {
        Some(state @ State::New) => {
            *state = State::Begun;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `expected`: numbers in their order, one that is amended with a plus sign.
    fn check(needs: &[&[usize]], expected: &str) {
        let needs: Vec<Vec<usize>> = needs.iter().map(|needs| needs.to_vec()).collect();
        let turns = order(&needs).turns.into_iter().map(|turn| match turn {
            Turn::Perform(operation) => operation.to_string(),
            Turn::Amend(operation) => format!("+{operation}"),
        });
        assert_eq!(turns.collect::<Vec<_>>().join(" "), expected, "{needs:?}");
    }

    #[test]
    fn what_is_needed_comes_first() {
        check(&[], "");
        check(&[&[], &[], &[]], "0 1 2");
        check(&[&[2], &[], &[]], "2 0 1");
        check(&[&[1], &[2], &[]], "2 1 0");
        check(&[&[1, 2], &[2], &[]], "2 1 0");
    }

    #[test]
    fn circles_are_closed_afterwards() {
        check(&[&[0]], "0 +0");
        check(&[&[1], &[0]], "1 0 +1");
        check(&[&[1], &[2], &[0], &[2]], "2 1 0 +2 3");
        check(&[&[1, 2], &[0], &[0]], "1 2 0 +1 +2");
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let needs: Vec<Vec<usize>> = (0..100_000).map(|index| vec![(index + 1) % 100_000]).collect();
        assert_eq!(order(&needs).turns.len(), 100_001);
    }

    proptest! {
            #[test]
            fn everything_is_done_once_and_nothing_too_early(
                needs in prop::collection::vec(prop::collection::vec(0_usize..8, 0..4), 8)
            ) {
                let Order { turns, deferred } = order(&needs);
                let place = |turn: Turn| turns.iter().position(|other| *other == turn);
                for (operation, needed) in needs.iter().enumerate() {
                    let performed = place(Turn::Perform(operation)).unwrap();
                    let amended = place(Turn::Amend(operation));
                    prop_assert_eq!(amended.is_some(), !deferred[operation].is_empty());
                    for need in needed {
                        let before = if deferred[operation].contains(need) { amended.unwrap() } else { performed };
                        prop_assert!(place(Turn::Perform(*need)).unwrap() < before);
                    }
                }
    let amended = deferred.iter().filter(|deferred| !deferred.is_empty()).count();
                prop_assert_eq!(turns.len(), amended.saturating_add(needs.len()));
            }
        }
}
