//! What guests are made from without being installed each time.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Guest, Host, ObjectKind, PowerState, Undo};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result};

/// A template of a toolstack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The toolstack's own name for it.
    pub id: String,
    /// Its name: what [`GuestBase::Template`](super::GuestBase::Template) says.
    pub name: String,
    /// Whether this library made it.
    pub own: bool,
}

/// The templates of one host, where the toolstack has the ability
/// [`Templates`](super::Ability::Templates); see [`Host::templates`].
///
/// The required methods ask, and the verbs act and verify.
#[async_trait]
pub trait Templates: Send + Sync + std::fmt::Debug {
    /// The host.
    fn host(&self) -> &dyn Host;

    /// Another handle to the same, for what is done later.
    fn handle(&self) -> Arc<dyn Templates>;

    /// Its templates, those that came with the toolstack included.
    ///
    /// # Errors
    /// When the toolstack cannot be asked.
    async fn list(&self) -> Result<Vec<Template>>;

    /// Asks the toolstack to make a Halted guest a template that is [known as ours](Template::own),
    /// without network interfaces: guests that are made of it get their own.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_convert(&self, guest: &dyn Guest) -> Result<Template>;

    /// Asks the toolstack to remove a template with its disks.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_remove(&self, template: &Template) -> Result<()>;

    // ---- verbs ----

    /// Makes a guest a template; it is removed when the scope of the host's handle ends. Before:
    /// Halted. After: there is a template of its name, and no guest any more.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a guest that is not Halted; [`Error::Invalid`] where there is a
    /// template of its name; as [`request_convert`](Self::request_convert).
    async fn convert(&self, guest: &dyn Guest) -> Result<Template> {
        let name = guest.name();
        let state = guest.power_state().await?;
        if state != PowerState::Halted {
            let allowed = [PowerState::Halted];
            return Err(Error::wrong_state(name, "convert", state, &allowed));
        }
        if self.list().await?.iter().any(|own| own.name == name) {
            let problem = "there is a template with that name already";
            return Err(Error::invalid(format!("template {name:?}"), problem));
        }
        let host = self.host();
        let object = host.object(ObjectKind::Template, &name);
        host.scope().creating(&object);
        let made = self.request_convert(guest).await;
        let made = made.inspect_err(|_| host.scope().not_created(&object))?;
        let (handle, id) = (self.handle(), made.id.clone());
        let undo = Undo::new(format!("remove template {name:?}"), move || async move {
            handle.remove(&id).await
        });
        host.scope().on_cleanup(undo.of(object));
        let there = self.list().await?.iter().any(|own| own.id == made.id);
        let still = host.guests().await?.iter().any(|other| other.name() == name);
        if there && !still {
            return Ok(made);
        }
        Err(Error::UnexpectedOutput {
            what: format!("the templates of host {:?}", host.name()),
            expected: format!("{name:?}, and no guest of that name"),
            found: match still {
                true => "the guest is still there".to_owned(),
                false => "a list without it".to_owned(),
            },
        })
    }

    /// Removes a template that this library made, by its name or id. After: it is not listed; one
    /// that was not there is a success.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that this library did not make; as
    /// [`request_remove`](Self::request_remove); [`Error::Timeout`].
    async fn remove(&self, name: &str) -> Result<()> {
        let all = self.list().await?;
        let Some(template) = all.iter().find(|own| own.name == name || own.id == name) else {
            return Ok(());
        };
        if !template.own {
            let problem = "this library did not make it";
            return Err(Error::invalid(format!("template {name:?}"), problem));
        }
        self.request_remove(template).await?;
        wait_until(format!("template {:?} to be gone", template.name), || async {
            let listed = self.list().await?.iter().any(|own| own.id == template.id);
            Ok(Wait::on(!listed, "it is still listed"))
        })
        .within(self.host().entry().deadlines.state)
        .await
    }
}
