//! What all handles to one host share: what is known of it, its guests, and names in the making.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use uuid::Uuid;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Abilities, GuestShells, Reach};
use xenrt_core::remote::Shell;
use xenrt_core::{Error, Result};

use crate::bases::Template;
use crate::guest::GuestShared;
use crate::networks::Known;
use crate::observe::Vm;
use crate::product::Product;
use crate::tokens;
use crate::xe::Xe;

/// What is found out about a host once.
pub(crate) struct Facts {
    pub(crate) host: Uuid,
    pub(crate) product: Product,
    pub(crate) abilities: Abilities,
    pub(crate) default_sr: Option<Uuid>,
    pub(crate) networks: Vec<Known>,
    pub(crate) templates: Vec<Template>,
    pub(crate) has_xl: bool,
}

/// What all handles to one host share.
pub(crate) struct HostShared {
    pub(crate) entry: HostEntry,
    pub(crate) uuid: Uuid,
    pub(crate) product: Product,
    pub(crate) abilities: Abilities,
    /// The storage that new disks go to.
    default_sr: Mutex<Option<Uuid>>,
    /// Whether dom0 has `xl`, so that the hypervisor can be asked without xapi.
    pub(crate) has_xl: bool,
    pub(crate) xe: Xe,
    pub(crate) shell: Arc<dyn Shell>,
    /// How it was reached, for finding it again.
    pub(crate) reach: Reach,
    networks: Mutex<Vec<Known>>,
    templates: Mutex<Vec<Template>>,
    guests: Mutex<HashMap<Uuid, Weak<GuestShared>>>,
    pub(crate) guest_shells: GuestShells,
    /// Names that are being given to guests.
    names: Mutex<HashSet<String>>,
    /// The tokens of guests that are being made.
    making: Mutex<HashSet<String>>,
}

/// A guest that is being made, and no guest for anybody else as long as the value lives.
pub(crate) struct Making<'a> {
    host: &'a HostShared,
    token: String,
}

impl Making<'_> {
    /// What only its maker knows.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        locked(&self.host.making).remove(&self.token);
    }
}

/// A name that is being given to a guest; nobody else here gives it to another one meanwhile.
pub(crate) struct Reserved<'a> {
    host: &'a HostShared,
    name: String,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        locked(&self.host.names).remove(&self.name);
    }
}

impl std::fmt::Debug for HostShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XapiHost").field("name", &self.entry.name).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder makes one change; none can leave it half made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostShared {
    pub(crate) fn new(
        entry: HostEntry,
        facts: Facts,
        xe: Xe,
        shell: Arc<dyn Shell>,
        reach: Reach,
    ) -> Self {
        let Facts { host, product, abilities, default_sr, networks, templates, has_xl } = facts;
        Self {
            entry,
            uuid: host,
            product,
            abilities,
            default_sr: Mutex::new(default_sr),
            has_xl,
            xe,
            shell,
            reach: reach.clone(),
            networks: Mutex::new(networks),
            templates: Mutex::new(templates),
            guests: Mutex::default(),
            guest_shells: GuestShells::new(reach),
            names: Mutex::default(),
            making: Mutex::default(),
        }
    }

    /// The storage that new disks go to, if there is one.
    pub(crate) fn default_sr(&self) -> Option<Uuid> {
        *locked(&self.default_sr)
    }

    pub(crate) fn set_default_sr(&self, sr: Option<Uuid>) {
        *locked(&self.default_sr) = sr;
    }

    pub(crate) fn known_networks(&self) -> Vec<Known> {
        locked(&self.networks).clone()
    }

    pub(crate) fn know_networks(&self, networks: Vec<Known>) {
        *locked(&self.networks) = networks;
    }

    pub(crate) fn known_templates(&self) -> Vec<Template> {
        locked(&self.templates).clone()
    }

    pub(crate) fn know_templates(&self, templates: Vec<Template>) {
        *locked(&self.templates) = templates;
    }

    /// Takes a name for as long as the value lives; `None` where somebody else does so now.
    pub(crate) fn reserve_name(&self, name: &str) -> Option<Reserved<'_>> {
        let free = locked(&self.names).insert(name.to_owned());
        free.then(|| Reserved { host: self, name: name.to_owned() })
    }

    /// Begins to make a guest.
    pub(crate) fn making(&self) -> Making<'_> {
        let token = tokens::new_token();
        locked(&self.making).insert(token.clone());
        Making { host: self, token }
    }

    /// Whether a VM is a guest already: one in the making is not what it will be.
    pub(crate) fn is_made(&self, vm: &Vm) -> bool {
        let token = vm.token.as_ref();
        !tokens::is_token(&vm.name)
            && token.is_none_or(|token| !locked(&self.making).contains(token))
    }

    /// The network that is asked for, or that of the lab's guests.
    pub(crate) fn network_name(&self, asked: Option<&str>) -> Result<String> {
        let own = self.entry.guest_network.as_ref().map(|network| network.network.as_str());
        asked.or(own).map(str::to_owned).ok_or_else(|| {
            Error::invalid(
                format!("host {:?}", self.entry.name),
                "the lab does not say its guest network (`guest_network`), and the VIF names none",
            )
        })
    }

    /// The handle data of a guest: the one that there is, or the one that `make` makes.
    pub(crate) fn guest(&self, uuid: Uuid, make: impl FnOnce() -> GuestShared) -> Arc<GuestShared> {
        let mut guests = locked(&self.guests);
        if let Some(known) = guests.get(&uuid).and_then(Weak::upgrade) {
            return known;
        }
        guests.retain(|_, guest| guest.strong_count() > 0);
        let made = Arc::new(make());
        guests.insert(uuid, Arc::downgrade(&made));
        made
    }

    /// The handle data of a guest, where there is one.
    pub(crate) fn known_guest(&self, uuid: Uuid) -> Option<Arc<GuestShared>> {
        locked(&self.guests).get(&uuid).and_then(Weak::upgrade)
    }

    /// Makes a guest that came from another host known here.
    pub(crate) fn take_in(&self, guest: &Arc<GuestShared>) {
        locked(&self.guests).insert(guest.uuid, Arc::downgrade(guest));
    }

    /// Forgets a guest that was deleted or went to another host.
    pub(crate) fn forget(&self, uuid: Uuid) {
        locked(&self.guests).remove(&uuid);
    }

    /// Drops the connections to `address`: what answers there from now on is not what was
    /// connected to.
    pub(crate) async fn drop_connections(&self, address: IpAddr) {
        self.guest_shells.drop_connections(address).await;
    }
}
