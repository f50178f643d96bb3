//! Where the disks of guests are kept, and how more room is made for them.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Host, Memory, ObjectKind, Undo};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result, ToolstackErrorKind};

/// What a storage is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum StorageSource {
    /// A file system on a block device of the host. What is on the device is lost.
    Ext {
        /// The device: `/dev/sdb`.
        device: String,
    },
    /// Logical volumes on a block device of the host. What is on the device is lost.
    Lvm {
        /// The device: `/dev/sdb`.
        device: String,
    },
    /// A folder that a server exports through NFS. Each storage has a folder of its own in it.
    Nfs {
        /// The server.
        server: String,
        /// The exported folder.
        path: String,
    },
    /// Logical volumes on a disk that a target exports through iSCSI. What is on it is lost.
    Iscsi {
        /// The address of the target.
        target: String,
        /// Its name.
        iqn: String,
        /// The identity of the disk (`scsi_id` of udev).
        scsi_id: String,
    },
    /// Logical volumes on a fibre channel disk. What is on it is lost.
    FibreChannel {
        /// The identity of the disk (`scsi_id` of udev).
        scsi_id: String,
    },
    /// A folder of an SMB server.
    Smb {
        /// `//server/folder`.
        location: String,
        /// As whom to log in.
        user: String,
        /// A file on the machine that runs the tests with the password alone.
        password_file: std::path::PathBuf,
    },
    /// Installation images in a folder of an NFS server, which is only read.
    Iso {
        /// `server:/folder`, or `/folder` for one of the host itself.
        location: String,
    },
}

impl StorageSource {
    /// What it is called in lab files: `nfs`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ext { .. } => "ext",
            Self::Lvm { .. } => "lvm",
            Self::Nfs { .. } => "nfs",
            Self::Iscsi { .. } => "iscsi",
            Self::FibreChannel { .. } => "fibre_channel",
            Self::Smb { .. } => "smb",
            Self::Iso { .. } => "iso",
        }
    }

    /// Whether several hosts can use it at the same time.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Self::Ext { .. } | Self::Lvm { .. })
    }

    /// Whether it can be only one storage at a time: a disk that is written from its first block.
    pub fn is_exclusive(&self) -> bool {
        matches!(
            self,
            Self::Ext { .. } | Self::Lvm { .. } | Self::Iscsi { .. } | Self::FibreChannel { .. }
        )
    }
}

/// A storage to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSpec {
    /// Its name, unique on its host.
    pub name: String,
    /// What it is made of.
    pub source: StorageSource,
    /// The version of NFS that is spoken; the toolstack's own choice unless given.
    pub nfs_version: Option<u32>,
}

impl StorageSpec {
    /// A storage made of `source`.
    pub fn new(name: impl Into<String>, source: StorageSource) -> Self {
        Self { name: name.into(), source, nfs_version: None }
    }
}

/// A storage as a toolstack lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The toolstack's own name for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The toolstack's word for what it is: `ext`, `lvmoiscsi`.
    pub kind: String,
    /// Whether all hosts of a pool use it.
    pub shared: bool,
    /// Whether this library made it.
    pub own: bool,
    /// All room that it has; zero where the toolstack does not know.
    pub size: Memory,
    /// Room that is taken.
    pub used: Memory,
}

/// The storage of one host, where the toolstack has the ability
/// [`Storage`](super::Ability::Storage); see [`Host::storages`].
///
/// The required methods ask, and the verbs act and verify.
#[async_trait]
pub trait Storages: Send + Sync + std::fmt::Debug {
    /// The host.
    fn host(&self) -> &dyn Host;

    /// Another handle to the same, for what is done later.
    fn handle(&self) -> Arc<dyn Storages>;

    /// All storage that the host knows.
    ///
    /// # Errors
    /// When the toolstack cannot be asked.
    async fn list(&self) -> Result<Vec<Storage>>;

    /// Asks the toolstack to make one that is [known as ours](Storage::own), and returns it as the
    /// toolstack lists it. Nothing is left behind by an error.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_create(&self, spec: &StorageSpec) -> Result<Storage>;

    /// Asks the toolstack to remove one with all that was kept on it, or to forget it where it is
    /// only read.
    ///
    /// # Errors
    /// What it refuses: disks that are left on it.
    async fn request_remove(&self, storage: &Storage) -> Result<()>;

    /// The storage that new disks go to unless something else is said, if there is one.
    ///
    /// # Errors
    /// When the toolstack cannot be asked.
    async fn default_storage(&self) -> Result<Option<Storage>>;

    /// Asks the toolstack to let new disks, crash dumps and suspended guests go there; `None` for
    /// nowhere in particular.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_default(&self, storage: Option<&Storage>) -> Result<()>;

    // ---- verbs ----

    /// The storage with this name or id.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are; [`Error::Invalid`] where several have it.
    async fn find(&self, name: &str) -> Result<Storage> {
        let all = self.list().await?;
        let mut named = all.iter().filter(|own| own.name == name || own.id == name);
        match (named.next(), named.next()) {
            (Some(storage), None) => Ok(storage.clone()),
            (Some(_), Some(_)) => {
                let problem = "several have that name; say the id of one";
                Err(Error::invalid(format!("storage {name:?}"), problem))
            }
            (None, _) => Err(Error::NotFound {
                kind: "storage",
                name: name.to_owned(),
                known: all.into_iter().map(|own| own.name).collect(),
            }),
        }
    }

    /// Makes a storage; it is removed when the scope of the host's handle ends. After: it is listed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or taken; as
    /// [`request_create`](Self::request_create).
    async fn create(&self, spec: &StorageSpec) -> Result<Storage> {
        let what = || format!("storage {:?}", spec.name);
        if spec.name.is_empty() || spec.name.chars().any(|c| c.is_control() || c == '/') {
            let problem = "its name must not be empty nor hold control characters or `/`";
            return Err(Error::invalid(what(), problem));
        }
        if self.list().await?.iter().any(|own| own.name == spec.name) {
            return Err(Error::invalid(what(), "there is a storage with that name already"));
        }
        let host = self.host();
        let object = host.object(ObjectKind::Storage, &spec.name);
        host.scope().creating(&object);
        let made = self.request_create(spec).await;
        let made = made.inspect_err(|_| host.scope().not_created(&object))?;
        let (handle, id) = (self.handle(), made.id.clone());
        let undo = Undo::new(format!("remove storage {:?}", spec.name), move || async move {
            handle.remove(&id).await
        });
        host.scope().on_cleanup(undo.of(object));
        if !self.list().await?.iter().any(|own| own.id == made.id) {
            return Err(Error::UnexpectedOutput {
                what: format!("the storage of host {:?}", host.name()),
                expected: format!("the new storage {:?}", spec.name),
                found: "a list without it".to_owned(),
            });
        }
        Ok(made)
    }

    /// Removes a storage that this library made, by its name or id. After: it is not listed; one
    /// that was not there is a success.
    ///
    /// # Errors
    /// [`Error::Toolstack`] for one that this library did not make; as
    /// [`request_remove`](Self::request_remove); [`Error::Timeout`].
    async fn remove(&self, name: &str) -> Result<()> {
        let storage = match self.find(name).await {
            Err(Error::NotFound { .. }) => return Ok(()),
            found => found?,
        };
        if !storage.own {
            return Err(Error::Toolstack {
                toolstack: self.host().toolstack().to_owned(),
                verb: "remove".to_owned(),
                object: format!("storage {name:?}"),
                kind: ToolstackErrorKind::NotSupported,
                message: "this library did not make it".to_owned(),
                source: None,
            });
        }
        self.request_remove(&storage).await?;
        wait_until(format!("storage {:?} to be gone", storage.name), || async {
            let listed = self.list().await?.iter().any(|own| own.id == storage.id);
            Ok(Wait::on(!listed, "it is still listed"))
        })
        .within(self.host().entry().deadlines.state)
        .await
    }

    /// Lets new disks go to the storage with this name until the scope of the host's handle ends.
    /// After: it is the default.
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`request_default`](Self::request_default).
    async fn make_default(&self, name: &str) -> Result<()> {
        let storage = self.find(name).await?;
        let before = self.default_storage().await?;
        if before.as_ref().is_some_and(|before| before.id == storage.id) {
            return Ok(());
        }
        let handle = self.handle();
        let undo = Undo::new("give the default storage back".to_owned(), move || async move {
            handle.request_default(before.as_ref()).await
        });
        self.host().scope().on_cleanup(undo);
        self.request_default(Some(&storage)).await?;
        let now = self.default_storage().await?;
        if now.as_ref().is_some_and(|now| now.id == storage.id) {
            return Ok(());
        }
        Err(Error::UnexpectedOutput {
            what: format!("the default storage of host {:?}", self.host().name()),
            expected: format!("{name:?}"),
            found: now.map_or_else(|| "none".to_owned(), |now| format!("{:?}", now.name)),
        })
    }
}
