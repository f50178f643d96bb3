//! Holding a guest against what it should be.

use std::time::Duration;

use crate::model::{
    CheckReport, Difference, DomainView, Guest, GuestView, PowerState, View, compare_guest,
};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result};

pub(in crate::model) async fn check<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let differences = differences(guest).await?;
    if differences.is_empty() {
        return Ok(());
    }
    let object = format!("guest {:?}", guest.name());
    Err(Error::Check(CheckReport { object, differences }))
}

pub(in crate::model) async fn differences<G: Guest + ?Sized>(guest: &G) -> Result<Vec<Difference>> {
    let (toolstack, domain) = guest.views().await?;
    differences_from(guest, &toolstack, domain.as_ref()).await
}

/// What differs between what a guest should be, two views that were already taken, and, where it
/// should be reachable, the view from inside it, which is taken here. For back ends that come to both
/// views with fewer questions than [`Guest::view`] and [`Guest::domain`] ask.
///
/// # Errors
/// When the inside cannot be asked for another reason than that it cannot be reached, which is a
/// difference.
pub async fn differences_from<G: Guest + ?Sized>(
    guest: &G,
    toolstack: &GuestView,
    domain: Option<&DomainView>,
) -> Result<Vec<Difference>> {
    let expected = guest.expectation().get();
    let running = |power| power == PowerState::Running;
    let (mut inside, mut unreachable) = (None, None);
    if expected.reachable && running(expected.power) && running(toolstack.power) {
        match guest.inside().await {
            Ok(view) => inside = Some(view),
            // That it cannot be reached is what is wrong with it, not a reason not to say what
            // else is.
            Err(Error::Remote(error)) => unreachable = Some(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    let mut differences = compare_guest(&expected, Some(toolstack), Some(domain), inside.as_ref());
    differences.extend(unreachable.map(|found| Difference {
        view: View::Guest,
        what: "reachability".to_owned(),
        expected: "a login works".to_owned(),
        found,
    }));
    Ok(differences)
}

pub(in crate::model) async fn wait_until_as_expected<G: Guest + ?Sized>(
    guest: &G,
    what: &str,
    deadline: Duration,
) -> Result<()> {
    let object = format!("guest {:?}", guest.name());
    let waiting_for = format!("guest {} to show {what} everywhere", guest.name());
    wait_until(waiting_for, || async {
        let differences = differences(guest).await?;
        if differences.is_empty() {
            return Ok(Wait::Done(()));
        }
        let report = CheckReport { object: object.clone(), differences };
        Ok(Wait::NotYet(report.to_string()))
    })
    .within(deadline)
    .await
}
