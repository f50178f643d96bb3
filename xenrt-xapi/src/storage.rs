//! Storage repositories.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::model::{self, Host, Memory, StorageSource, Storages};
use xenrt_core::{Error, Result};

use crate::host::XapiHost;
use crate::parse::{records, values};
use crate::xe::{ApiCode, XeCommand, XeError};

/// A storage to be created, by its driver and what the driver must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSpec {
    name: String,
    driver: &'static str,
    content: &'static str,
    shared: bool,
    device: BTreeMap<String, String>,
    secret: Option<(String, String)>,
}

impl StorageSpec {
    fn of(name: &str, driver: &'static str, shared: bool, device: &[(&str, &str)]) -> Self {
        let device = device.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self {
            name: name.to_owned(),
            driver,
            content: "user",
            shared,
            device: device.collect(),
            secret: None,
        }
    }

    /// A file system on a block device of the host: `/dev/sdb`. What is on it is lost.
    pub fn ext(name: &str, device: &str) -> Self {
        Self::of(name, "ext", false, &[("device", device)])
    }

    /// Logical volumes on a block device of the host. What is on it is lost.
    pub fn lvm(name: &str, device: &str) -> Self {
        Self::of(name, "lvm", false, &[("device", device)])
    }

    /// A folder of the host (XCP-ng).
    pub fn file(name: &str, folder: &str) -> Self {
        Self::of(name, "file", false, &[("location", folder)])
    }

    /// A folder that a server exports through NFS.
    pub fn nfs(name: &str, server: &str, folder: &str) -> Self {
        Self::of(name, "nfs", true, &[("server", server), ("serverpath", folder)])
    }

    /// Logical volumes on an iSCSI target. `scsi_id` is what [`probe`](XapiHost::probe_storage)
    /// finds.
    pub fn iscsi(name: &str, target: &str, iqn: &str, scsi_id: &str) -> Self {
        let device = [("target", target), ("targetIQN", iqn), ("SCSIid", scsi_id)];
        Self::of(name, "lvmoiscsi", true, &device)
    }

    /// CDs in a folder of an NFS server (`server:/folder`), or of the host where it is `/folder`.
    pub fn iso(name: &str, location: &str) -> Self {
        let local = location.starts_with('/');
        let device: &[(&str, &str)] = if local {
            &[("location", location), ("legacy_mode", "true")]
        } else {
            &[("location", location)]
        };
        Self { content: "iso", ..Self::of(name, "iso", !local, device) }
    }

    /// Disks in a folder of an SMB server (`//server/folder`). The password is on no command line.
    pub fn smb(name: &str, location: &str, user: &str, password: &str) -> Self {
        let mut spec = Self::of(name, "smb", true, &[("server", location), ("username", user)]);
        spec.secret = Some(("device-config:password".to_owned(), password.to_owned()));
        spec
    }

    /// Says one more thing to the driver (`device-config`).
    #[must_use]
    pub fn device_config(mut self, key: &str, value: &str) -> Self {
        self.device.insert(key.to_owned(), value.to_owned());
        self
    }

    fn command(&self, name: &str, host: Uuid) -> XeCommand {
        let mut command = XeCommand::new(name).param("type", self.driver);
        if !self.shared {
            command = command.param("host-uuid", host.to_string());
        }
        self.told(command)
    }

    /// Adds what the driver must be told.
    fn told(&self, mut command: XeCommand) -> XeCommand {
        for (key, value) in &self.device {
            command = command.param(format!("device-config:{key}"), value.as_str());
        }
        match &self.secret {
            Some((key, value)) => command.secret(key.as_str(), value.as_str()),
            None => command,
        }
    }
}

/// A storage repository as xapi lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its driver: `ext`, `nfs`, ...
    pub driver: String,
    /// What it holds: `user` for disks, `iso` for CDs.
    pub content: String,
    /// Whether all hosts of the pool use it.
    pub shared: bool,
    /// All room that it has.
    pub size: Memory,
    /// Room that is taken.
    pub used: Memory,
}

impl XapiHost {
    /// The storage of the pool. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn storages(&self) -> Result<Vec<Storage>> {
        let list = XeCommand::new("sr-list").fields(&[
            "uuid",
            "name-label",
            "type",
            "content-type",
            "shared",
            "physical-size",
            "physical-utilisation",
        ]);
        let text = self.xe().run(&list).await.map_err(|error| error.during("list", "storage"))?;
        let storage = |record: Result<crate::parse::Record<'_>>| {
            let record = record?;
            // A storage that is not attached says -1.
            let bytes =
                |name: &str| record.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
            Ok(Storage {
                uuid: record.parse("uuid")?,
                name: record.require("name-label")?.to_owned(),
                driver: record.require("type")?.to_owned(),
                content: record.get("content-type").unwrap_or_default().to_owned(),
                shared: record.get("shared") == Some("true"),
                size: Memory::bytes(bytes("physical-size")),
                used: Memory::bytes(bytes("physical-utilisation")),
            })
        };
        records(&text).map(storage).collect()
    }

    /// Creates a storage and attaches it: to this host, or to all of the pool where it is shared.
    /// One call.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) with the code of the driver
    /// (`SR_BACKEND_FAILURE_<n>`) and its sentence. It is not made twice when the connection breaks.
    pub async fn create_storage(&self, spec: &StorageSpec) -> Result<Uuid> {
        let create = spec
            .command("sr-create", self.uuid())
            .param("name-label", spec.name.as_str())
            .param("content-type", spec.content)
            .param("shared", spec.shared.to_string())
            .deadline(self.entry().deadlines.suspend);
        let find = XeCommand::new("sr-list").param("name-label", spec.name.as_str()).minimal();
        let object = format!("storage {:?}", spec.name);
        self.xe().create_once(&create, &find).await.map_err(|error| error.during("create", &object))
    }

    /// What a driver finds where a storage is to be created: XML, in the driver's own words. A
    /// driver that needs to be told more says what there is in its refusal; that of iSCSI is read by
    /// [`iscsi_targets`](Self::iscsi_targets) and [`iscsi_luns`](Self::iscsi_luns). One call.
    ///
    /// # Errors
    /// What the driver refuses.
    pub async fn probe_storage(&self, spec: &StorageSpec) -> Result<String> {
        let probe = spec.command("sr-probe", self.uuid());
        let object = format!("storage {:?}", spec.name);
        self.xe().run(&probe).await.map_err(|error| error.during("probe", &object))
    }

    /// Attaches a storage that was [forgotten](Self::forget_storage), with what is on it: to this host,
    /// or to all of the pool where it is shared. `sr` is its identity from before, and `spec` what it
    /// was made of. Two calls a host, and two or three more. Nothing of it is left by an error, and what
    /// is on it stays.
    ///
    /// # Errors
    /// What xapi or the driver refuses; also where the pool knows it already.
    pub async fn attach_storage(&self, sr: Uuid, spec: &StorageSpec) -> Result<()> {
        let xe = self.xe();
        let during = |error: XeError| error.during("attach", &format!("storage {:?}", spec.name));
        let introduce = XeCommand::new("sr-introduce")
            .uuid(sr)
            .param("type", spec.driver)
            .param("name-label", spec.name.as_str())
            .param("content-type", spec.content)
            .param("shared", spec.shared.to_string());
        let find = XeCommand::new("sr-list").uuid(sr).minimal();
        if !xe.uuids(find.clone()).await.map_err(during)?.is_empty() {
            let kind = xenrt_core::ToolstackErrorKind::AlreadyExists;
            let (object, message) =
                (format!("storage {:?}", spec.name), "the pool knows it already");
            return Err(crate::error::refusal(kind, "attach", &object, message));
        }
        xe.create_once(&introduce, &find).await.map_err(during)?;
        let attached = async {
            let hosts = match spec.shared {
                true => xe.uuids(XeCommand::new("host-list")).await?,
                false => vec![self.uuid()],
            };
            for host in hosts {
                let on = |command: XeCommand| {
                    let command = command.param("host-uuid", host.to_string());
                    command.param("sr-uuid", sr.to_string())
                };
                let create = spec.told(on(XeCommand::new("pbd-create")));
                let find = on(XeCommand::new("pbd-list")).minimal();
                let pbd = xe.create_once(&create, &find).await?;
                let plug = XeCommand::new("pbd-plug").uuid(pbd);
                xe.repeat(&plug.deadline(self.entry().deadlines.suspend), |_| false).await?;
            }
            Ok(())
        };
        match attached.await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.forget_storage(sr).await?;
                Err(during(error))
            }
        }
    }

    /// Has a storage look for disks and CDs that came or went. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn scan_storage(&self, sr: Uuid) -> Result<()> {
        let scan = XeCommand::new("sr-scan").uuid(sr);
        self.xe()
            .run(&scan)
            .await
            .map(drop)
            .map_err(|error| error.during("scan", &format!("storage {sr}")))
    }

    /// Detaches a storage from all hosts and forgets it; what is on it stays. Three calls or more.
    /// One that is gone already is a success.
    ///
    /// # Errors
    /// What xapi refuses, a disk that is in use included.
    pub async fn forget_storage(&self, sr: Uuid) -> Result<()> {
        self.remove_storage(sr, "sr-forget").await
    }

    /// Detaches a storage from all hosts and destroys what is on it. Before: it has no disks. Three
    /// calls or more. One that is gone already is a success.
    ///
    /// # Errors
    /// What xapi refuses, disks that are left included.
    pub async fn destroy_storage(&self, sr: Uuid) -> Result<()> {
        self.remove_storage(sr, "sr-destroy").await
    }

    async fn remove_storage(&self, sr: Uuid, command: &str) -> Result<()> {
        let xe = self.xe();
        let during = |error: XeError| error.during("remove", &format!("storage {sr}"));
        if command == "sr-destroy" {
            let disks = XeCommand::new("vdi-list").param("sr-uuid", sr.to_string());
            if !xe.uuids(disks).await.map_err(during)?.is_empty() {
                let kind = xenrt_core::ToolstackErrorKind::BadState;
                let (object, message) = (format!("storage {sr}"), "it still holds disks");
                return Err(crate::error::refusal(kind, "remove", &object, message));
            }
        }
        let pbds = XeCommand::new("pbd-list")
            .param("sr-uuid", sr.to_string())
            .param("currently-attached", "true");
        let pbds = xe.uuids(pbds).await.map_err(during)?;
        for pbd in pbds {
            match xe.repeat(&XeCommand::new("pbd-unplug").uuid(pbd), |_| false).await {
                Err(error) if error.code() == Some(&ApiCode::DeviceAlreadyDetached) => {}
                result => result.map_err(during)?,
            }
        }
        match xe.repeat(&XeCommand::new(command).uuid(sr), |_| false).await {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result.map_err(during),
        }
    }
}

/// The key in `other-config` of storage that this library made; no other is ever removed.
const MARK: &str = "xenrt";

/// The storage of the pool, as the object model has it.
#[derive(Debug, Clone)]
pub(crate) struct XapiStorages(pub(crate) XapiHost);

/// What is asked of xapi for a storage of the object model.
fn specification(spec: &model::StorageSpec) -> Result<StorageSpec> {
    let name = spec.name.as_str();
    let made = match &spec.source {
        StorageSource::Ext { device } => StorageSpec::ext(name, device),
        StorageSource::Lvm { device } => StorageSpec::lvm(name, device),
        StorageSource::Nfs { server, path } => StorageSpec::nfs(name, server, path),
        StorageSource::Iscsi { target, iqn, scsi_id } => {
            StorageSpec::iscsi(name, target, iqn, scsi_id)
        }
        StorageSource::FibreChannel { scsi_id } => {
            StorageSpec::of(name, "lvmohba", true, &[("SCSIid", scsi_id)])
        }
        StorageSource::Smb { location, user, password_file } => {
            let password = std::fs::read_to_string(password_file).map_err(|source| Error::Io {
                action: "cannot read",
                path: password_file.display().to_string(),
                source,
            })?;
            StorageSpec::smb(name, location, user, password.trim_end_matches(['\n', '\r']))
        }
        StorageSource::Iso { location } => StorageSpec::iso(name, location),
        other => {
            let problem = format!("this library cannot make one of {} with xapi", other.name());
            return Err(Error::invalid(format!("storage {name:?}"), problem));
        }
    };
    Ok(match spec.nfs_version {
        Some(version) => made.device_config("nfsversion", &version.to_string()),
        None => made,
    })
}

#[async_trait]
impl Storages for XapiStorages {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Storages> {
        Arc::new(self.clone())
    }

    /// One call.
    async fn list(&self) -> Result<Vec<model::Storage>> {
        let list = XeCommand::new("sr-list").fields(&[
            "uuid",
            "name-label",
            "type",
            "shared",
            "physical-size",
            "physical-utilisation",
            "other-config",
        ]);
        let text = self.0.xe().run(&list).await;
        let text = text.map_err(|error| error.during("list", "storage"))?;
        let storage = |record: Result<crate::parse::Record<'_>>| {
            let record = record?;
            let config = record.get("other-config").map(values::map).unwrap_or_default();
            // A storage that is not attached says -1.
            let bytes =
                |name: &str| record.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
            Ok(model::Storage {
                id: record.parse::<Uuid>("uuid")?.to_string(),
                name: record.require("name-label")?.to_owned(),
                kind: record.require("type")?.to_owned(),
                shared: record.get("shared") == Some("true"),
                own: config.contains_key(MARK),
                size: Memory::bytes(bytes("physical-size")),
                used: Memory::bytes(bytes("physical-utilisation")),
            })
        };
        records(&text).map(storage).collect()
    }

    /// Three calls.
    async fn request_create(&self, spec: &model::StorageSpec) -> Result<model::Storage> {
        let uuid = self.0.create_storage(&specification(spec)?).await?;
        let object = format!("storage {:?}", spec.name);
        let mark =
            XeCommand::new("sr-param-set").uuid(uuid).param(format!("other-config:{MARK}"), "true");
        if let Err(error) = self.0.xe().repeat(&mark, |_| false).await {
            // One that is not marked would never be removed.
            self.0.destroy_storage(uuid).await?;
            return Err(error.during("create", &object));
        }
        self.find(&uuid.to_string()).await
    }

    /// As [`destroy_storage`](XapiHost::destroy_storage); one of CDs is forgotten.
    async fn request_remove(&self, storage: &model::Storage) -> Result<()> {
        let uuid = uuid_of(storage)?;
        match storage.kind.as_str() {
            "iso" => self.0.forget_storage(uuid).await,
            _ => self.0.destroy_storage(uuid).await,
        }
    }

    /// Two calls.
    async fn default_storage(&self) -> Result<Option<model::Storage>> {
        self.0.learn_default_storage().await?;
        let id = self.0.shared.default_sr().map(|uuid| uuid.to_string());
        Ok(self.list().await?.into_iter().find(|own| Some(&own.id) == id.as_ref()))
    }

    /// Also for crash dumps and suspended guests, as the original did. Two calls.
    async fn request_default(&self, storage: Option<&model::Storage>) -> Result<()> {
        let uuid = storage.map(uuid_of).transpose()?;
        let during = |error: XeError| error.during("set the default storage of", "the pool");
        let xe = self.0.xe();
        let pools = xe.uuids(XeCommand::new("pool-list")).await.map_err(during)?;
        let Some(pool) = pools.first() else {
            return Err(crate::parse::not_understood("xe pool-list", "a pool", ""));
        };
        let value = uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
        let set = XeCommand::new("pool-param-set")
            .uuid(*pool)
            .param("default-SR", value.as_str())
            .param("crash-dump-SR", value.as_str())
            .param("suspend-image-SR", value.as_str());
        // The same when it is done twice.
        xe.repeat(&set, |_| false).await.map_err(during)?;
        self.0.shared.set_default_sr(uuid);
        Ok(())
    }
}

fn uuid_of(storage: &model::Storage) -> Result<Uuid> {
    storage.id.parse().map_err(|_| {
        Error::invalid(format!("storage {:?}", storage.name), "its id is no UUID of xapi")
    })
}
