//! Copies of guests: clones, full copies, exports and imports; and their CD drives.

use uuid::Uuid;
use xenrt_core::model::{Guest as _, Host as _};
use xenrt_core::{Error, Result};

use crate::guest::XapiGuest;
use crate::host::XapiHost;
use crate::xe::XeCommand;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// With gzip.
    Gzip,
    /// With zstd (XCP-ng, XenServer 8).
    Zstd,
}

impl XapiGuest {
    /// Makes a guest that shares the unchanged blocks of this one's disks. Before: Halted. After:
    /// both are Halted. Three calls.
    ///
    /// # Errors
    /// What xapi refuses; [`Error::Invalid`] for a name that is taken.
    pub async fn clone_as(&self, name: &str) -> Result<XapiGuest> {
        self.copied("vm-clone", name, None).await
    }

    /// Makes a guest with full copies of this one's disks, on the storage `sr` where it is given.
    /// Before: Halted. After: both are Halted. Three calls.
    ///
    /// # Errors
    /// What xapi refuses; [`Error::Invalid`] for a name that is taken.
    pub async fn copy_as(&self, name: &str, sr: Option<Uuid>) -> Result<XapiGuest> {
        self.copied("vm-copy", name, sr).await
    }

    async fn copied(&self, command: &str, name: &str, sr: Option<Uuid>) -> Result<XapiGuest> {
        let (host, during) = (self.xapi_host(), self.during("copy"));
        let xe = host.xe();
        let same = XeCommand::new("vm-list").param("name-label", name);
        if !xe.uuids(same).await.map_err(&during)?.is_empty() {
            let problem = format!("there is a guest named {name:?} already");
            return Err(Error::invalid(format!("guest {name:?}"), problem));
        }
        let copy = XeCommand::new(command)
            .uuid(self.uuid())
            .param("new-name-label", name)
            .maybe("sr-uuid", sr.map(|uuid| uuid.to_string()))
            .deadline(self.deadlines().migrate);
        let find = XeCommand::new("vm-list").param("name-label", name).minimal();
        let uuid = xe.create_once(&copy, &find).await.map_err(&during)?;
        host.xapi_guest(uuid).await
    }

    /// Writes it, disks and all, to a new file of dom0. Before: Halted or Suspended. The file is the
    /// caller's to remove. One call.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that is not absolute; what xapi refuses, a file that is there
    /// already included.
    pub async fn export(&self, path: &str, compression: Compression) -> Result<()> {
        check_path(path)?;
        let compress = match compression {
            Compression::None => None,
            // Releases that know no other way take a boolean; those that do take it for gzip.
            Compression::Gzip => Some("true"),
            Compression::Zstd => Some("zstd"),
        };
        let export = XeCommand::new("vm-export")
            .uuid(self.uuid())
            .param("filename", path)
            .maybe("compress", compress)
            .deadline(self.deadlines().migrate);
        self.xapi_host().xe().run(&export).await.map(drop).map_err(self.during("export"))
    }

    /// Puts a CD into its drive: a VDI of an ISO storage, by its name. One call.
    ///
    /// # Errors
    /// What xapi refuses: no such CD, no drive, a drive that is not empty.
    pub async fn insert_cd(&self, name: &str) -> Result<()> {
        let insert = XeCommand::new("vm-cd-insert").uuid(self.uuid()).param("cd-name", name);
        self.xapi_host().xe().run(&insert).await.map(drop).map_err(self.during("insert a CD into"))
    }

    /// Gives it a drive with a CD, as this device (`userdevice`, 0 to 15 and more). Before: Halted,
    /// for most guests: an emulated drive cannot be plugged. One call.
    ///
    /// # Errors
    /// What xapi refuses: no such CD, a device that is taken.
    pub async fn add_cd(&self, name: &str, device: u8) -> Result<()> {
        let add = XeCommand::new("vm-cd-add")
            .uuid(self.uuid())
            .param("cd-name", name)
            .param("device", device.to_string());
        self.xapi_host().xe().run(&add).await.map(drop).map_err(self.during("add a CD to"))
    }

    /// Takes the drive away that has this CD. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn remove_cd(&self, name: &str) -> Result<()> {
        let remove = XeCommand::new("vm-cd-remove").uuid(self.uuid()).param("cd-name", name);
        let removed = self.xapi_host().xe().run(&remove).await;
        removed.map(drop).map_err(self.during("remove a CD from"))
    }

    /// Takes the CD out of its drive. One call.
    ///
    /// # Errors
    /// What xapi refuses: no drive, an empty one.
    pub async fn eject_cd(&self) -> Result<()> {
        let eject = XeCommand::new("vm-cd-eject").uuid(self.uuid());
        self.xapi_host().xe().run(&eject).await.map(drop).map_err(self.during("eject the CD of"))
    }
}

impl XapiHost {
    /// The names of the CDs on ISO storage, as [`insert_cd`](XapiGuest::insert_cd) takes them; those
    /// of storage that was not [scanned](Self::scan_storage) yet are not among them. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn cds(&self) -> Result<Vec<String>> {
        let list = XeCommand::new("cd-list").fields(&["name-label"]);
        self.xe().list(list).await.map_err(|error| error.during("list", "CDs"))
    }

    /// Makes a guest of a file of dom0 that [`export`](XapiGuest::export) wrote, on the storage `sr`
    /// where it is given. After: Halted, with an identity of its own. Three calls.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that is not absolute; what xapi refuses. When the connection
    /// broke, [`Error::Toolstack`] says that it is not known whether it was made.
    pub async fn import(&self, path: &str, sr: Option<Uuid>) -> Result<XapiGuest> {
        check_path(path)?;
        let import = XeCommand::new("vm-import")
            .param("filename", path)
            .maybe("sr-uuid", sr.map(|uuid| uuid.to_string()))
            .deadline(self.entry().deadlines.migrate);
        let object = format!("file {path:?}");
        let uuid = self.xe().create(&import).await;
        self.xapi_guest(uuid.map_err(|error| error.during("import", &object))?).await
    }
}

/// A path that is relative would be looked for wherever `xe` runs, and an empty one is the output.
fn check_path(path: &str) -> Result<()> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(Error::invalid(format!("file {path:?}"), "expected an absolute path in dom0"))
}
