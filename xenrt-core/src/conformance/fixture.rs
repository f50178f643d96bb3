//! A guest that is up, shared by checks.

use std::sync::Arc;

use super::problem::Problem;
use crate::model::{ExpectedGuest, Guest, GuestSpec, Host, HostInventory, Scope, VifSpec};

/// A guest that is up and that checks lend one another, and what belongs to it on the host.
#[derive(Debug, Default)]
pub(super) struct Fixture {
    made: Option<Made>,
    /// How many were made, for their names.
    count: u32,
}

#[derive(Debug)]
struct Made {
    guest: Arc<dyn Guest>,
    as_made: ExpectedGuest,
    objects: Vec<String>,
}

impl Fixture {
    /// The guest, made where there is none.
    pub(super) async fn get(
        &mut self,
        host: &Arc<dyn Host>,
        image: &str,
        names: &str,
        scope: Scope,
    ) -> Result<Arc<dyn Guest>, Problem> {
        if let Some(made) = &self.made {
            return Ok(Arc::clone(&made.guest));
        }
        let host = host.in_scope(Scope::default());
        let before = host.inventory().await?;
        self.count += 1;
        let spec = GuestSpec::new(format!("{names}-shared{}", self.count))
            .image(image)
            .vcpus(1)
            .max_vcpus(2)
            .vif(VifSpec::on_default());
        let guest = host.define_guest(&spec).await?;
        let up = async {
            guest.start().await?;
            guest.wait_until_reachable().await
        };
        if let Err(error) = up.await {
            // The guest goes with the check that could not have it.
            let doomed = Arc::clone(&guest);
            let undo = format!("delete guest {:?}", spec.name);
            scope.on_cleanup(crate::model::Undo::new(undo, move || async move {
                doomed.ensure_deleted().await
            }));
            return Err(error.into());
        }
        let objects = host.inventory().await?.added_since(&before);
        let as_made = guest.expectation().get();
        self.made = Some(Made { guest: Arc::clone(&guest), as_made, objects });
        Ok(guest)
    }

    /// Whether `object` of an inventory belongs to the guest.
    pub(super) fn owns(&self, object: &str) -> bool {
        self.made.as_ref().is_some_and(|made| made.objects.iter().any(|own| own == object))
    }

    /// The guest's name, for lists of guests.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.made.as_ref().is_some_and(|made| made.guest.name() == name)
    }

    /// Keeps the guest for the next check where it is as it was made and stands as it should;
    /// removes it otherwise. Says what is wrong where it says that it is as it was and is not.
    pub(super) async fn settle(
        &mut self,
        passed: bool,
        after: &HostInventory,
    ) -> Result<(), String> {
        let Some(made) = &self.made else { return Ok(()) };
        let whole = made.objects.iter().all(|own| after.objects.contains(own));
        let as_made = made.guest.expectation().get() == made.as_made;
        if passed && whole && as_made {
            match made.guest.check().await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let told = format!("it left the guest otherwise than it says: {error}");
                    self.discard().await?;
                    return Err(told);
                }
            }
        }
        self.discard().await
    }

    /// Removes the guest.
    pub(super) async fn discard(&mut self) -> Result<(), String> {
        let Some(made) = self.made.take() else { return Ok(()) };
        made.guest
            .ensure_deleted()
            .await
            .map_err(|error| format!("the shared guest could not be removed: {error}"))
    }
}
