//! The shortest part of a program that still fails.

use super::program::{Program, Step};

/// Takes parts out of a program as long as what is left fails, large parts first (delta
/// debugging). `fails` runs a program and returns at which step and how it failed; `goes_on` is asked
/// before each, with how many were tried. Returns the program up to its failure, how that one failed, and
/// how many were tried.
pub(super) async fn shrink<F, Fut, W, E>(
    program: Program,
    how: W,
    goes_on: impl Fn(usize) -> bool,
    mut fails: F,
) -> Result<(Program, W, usize), E>
where
    F: FnMut(Program) -> Fut,
    Fut: Future<Output = Result<Option<(usize, W)>, E>>,
{
    let mut best = program.steps;
    let mut told = how;
    let mut tries = 0;
    let mut part = best.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        let mut shorter = false;
        // The last step is the one that failed, and stays.
        while from + 1 < best.len() && goes_on(tries) {
            let to = (from + part).min(best.len() - 1);
            let steps: Vec<Step> = best[..from].iter().chain(&best[to..]).copied().collect();
            tries += 1;
            match fails(Program { steps: steps.clone() }).await? {
                Some((at, how)) => {
                    best = steps[..=at].to_vec();
                    told = how;
                    shorter = true;
                }
                None => from = to,
            }
        }
        // Single steps are tried until none can go: one may only go when another one has.
        part = match part {
            1 if shorter && goes_on(tries) => 1,
            1 => 0,
            part => part.div_ceil(2),
        };
    }
    Ok((Program { steps: best }, told, tries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::Verb;

    #[tokio::test]
    async fn what_does_not_matter_goes() {
        let verbs = [Verb::Create, Verb::Start, Verb::Pause, Verb::Unpause, Verb::Rename];
        let steps: Vec<Step> = (0..40).map(|n| Step { guest: n / 5, verb: verbs[n % 5] }).collect();
        // It fails at a rename of guest 6 after guest 3 was created.
        let fails = |program: Program| async move {
            let at = |step: Step| program.steps.iter().position(|own| *own == step);
            let rename = at(Step { guest: 6, verb: Verb::Rename });
            let create = at(Step { guest: 3, verb: Verb::Create });
            let found = rename.filter(|rename| create.is_some_and(|create| create < *rename));
            Ok::<_, ()>(found.map(|at| (at, "again".to_owned())))
        };
        let program = Program { steps: steps[..35].to_vec() };
        let (short, message, tries) =
            shrink(program.clone(), "first".into(), |tries| tries < 500, fails).await.unwrap();
        assert_eq!(short.to_string(), "   1. g3 Create\n   2. g6 Rename\n");
        assert!(message == "again" && tries < 60, "{message} after {tries} tries");
        let ended = shrink(program.clone(), "first".into(), |tries| tries < 2, fails).await;
        let (short, _, tries) = ended.unwrap();
        assert_eq!((short.steps.len(), tries), (19, 2));
    }
}
