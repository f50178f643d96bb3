//! Storage pools and volumes of libvirt's, beyond the object model.

use virt::connect::Connect;
use virt::error::ErrorNumber;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt_sys as sys;
use xenrt_core::model::Memory;
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::connection::Failure;
use crate::error::{not_understood, not_written, refusal};
use crate::host::{HostShared, LibvirtHost};
use crate::xml::{Disk, PoolSource, PoolXml, Quantity, VolumeXml, XmlError};

/// A storage pool that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// libvirt's word for what it is: `dir`, `logical`, `netfs`, ...
    pub kind: String,
    /// The folder of its volumes, where they have one.
    pub path: Option<String>,
    /// How large it is.
    pub capacity: Memory,
    /// How much of it is free.
    pub available: Memory,
}

/// A volume of a storage pool. Its path can be the [source](xenrt_core::model::DiskSource::Existing)
/// of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name in its pool.
    pub name: String,
    /// The file or block device of the host.
    pub path: String,
    /// Its size.
    pub capacity: Memory,
}

/// The form of what is in a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VolumeFormat {
    /// Its blocks as they are.
    #[default]
    Raw,
    /// QEMU's own, which keeps snapshots. The host needs `qemu-img`.
    Qcow2,
}

impl VolumeFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

fn amount(quantity: Option<&Quantity>) -> Result<Memory, XmlError> {
    quantity.map_or(Ok(Memory::default()), Quantity::memory)
}

fn pool_of(pool: &StoragePool) -> Result<Pool, Failure> {
    let text = pool.get_xml_desc(0)?;
    let read = || {
        let own = PoolXml::parse(&text)?;
        Ok(Pool {
            capacity: amount(own.capacity.as_ref())?,
            available: amount(own.available.as_ref())?,
            name: own.name,
            kind: own.kind,
            path: own.target.and_then(|target| target.path),
        })
    };
    read().map_err(|error| not_understood("the document of a storage pool", &error).into())
}

fn volume_of(volume: &StorageVol) -> Result<Volume, Failure> {
    let info = volume.get_info()?;
    let (name, path) = (volume.get_name()?, volume.get_path()?);
    Ok(Volume { name, path, capacity: Memory::bytes(info.capacity) })
}

/// Has disks of QEMU's that somebody else made be read in the format that libvirt knows of them,
/// where they are volumes of a storage pool. No file is looked into: what a guest wrote at its
/// beginning could be taken for a format.
pub(crate) async fn set_formats(
    shared: &HostShared,
    verb: &'static str,
    object: &str,
    disks: Vec<&mut Disk>,
) -> Result<()> {
    let disks: Vec<_> = disks.into_iter().filter(|disk| disk.driver.is_some()).collect();
    if disks.is_empty() {
        return Ok(());
    }
    let paths: Vec<String> = disks.iter().map(|disk| disk.path().to_owned()).collect();
    let look = move |connect: &Connect| {
        paths.iter().map(|path| format_of(connect, path)).collect::<Result<Vec<_>, Failure>>()
    };
    let formats = shared.call(verb, object, look).await?;
    for (disk, format) in disks.into_iter().zip(formats) {
        if let (Some(driver), Some(format)) = (&mut disk.driver, format) {
            driver.format = Some(format);
        }
    }
    Ok(())
}

/// The format of a volume; `None` for a path that is none. Blocks.
fn format_of(connect: &Connect, path: &str) -> Result<Option<String>, Failure> {
    let volume = match StorageVol::lookup_by_path(connect, path) {
        Err(error) if error.code() == ErrorNumber::NoStorageVolume => return Ok(None),
        volume => volume?,
    };
    let own = VolumeXml::parse(&volume.get_xml_desc(0)?)
        .map_err(|error| not_understood("the document of a volume", &error))?;
    Ok(own.target.and_then(|target| target.format).map(|format| format.name))
}

impl LibvirtHost {
    /// The storage pools that are active.
    ///
    /// # Errors
    /// When libvirt cannot be asked.
    pub async fn pools(&self) -> Result<Vec<Pool>> {
        let list = |connect: &Connect| {
            let pools =
                connect.list_all_storage_pools(sys::VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)?;
            pools.iter().map(pool_of).collect()
        };
        self.shared.call("list", "storage pools", list).await
    }

    /// Makes a pool. After: it is active.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken; what libvirt refuses, nothing is left then.
    pub async fn create_pool(&self, name: &str, source: &PoolSource) -> Result<Pool> {
        let object = format!("storage pool {name:?}");
        let document = PoolXml::new(name, source).to_element();
        let document = document.map_err(|error| not_written(&object, &error))?.to_xml();
        let (name, own) = (name.to_owned(), object.clone());
        let make = move |connect: &Connect| {
            if StoragePool::lookup_by_name(connect, &name).is_ok() {
                return Err(Error::invalid(own, "that name is taken").into());
            }
            let pool = StoragePool::define_xml(connect, &document, 0)?;
            let started = pool.build(0).and_then(|_| pool.create(0));
            if let Err(error) = started {
                // That it could not be started is what is told.
                let _ = pool.undefine();
                return Err(error.into());
            }
            pool_of(&pool)
        };
        self.shared.call("create", &object, make).await
    }

    /// Removes a pool, not what is in it. One that is not there is a success.
    ///
    /// # Errors
    /// What libvirt refuses.
    pub async fn remove_pool(&self, name: &str) -> Result<()> {
        let (object, name) = (format!("storage pool {name:?}"), name.to_owned());
        let remove = move |connect: &Connect| {
            let pool = match StoragePool::lookup_by_name(connect, &name) {
                Err(error) if error.code() == ErrorNumber::NoStoragePool => return Ok(()),
                pool => pool?,
            };
            if pool.is_active()? {
                pool.destroy()?;
            }
            // One that was made for a while only is gone with that.
            match pool.undefine() {
                Err(error) if error.code() != ErrorNumber::NoStoragePool => Err(error.into()),
                _ => Ok(()),
            }
        };
        self.shared.call("remove", &object, remove).await
    }

    /// The volumes of a pool.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind `NoSuchObject` where there is no such pool.
    pub async fn volumes(&self, pool: &str) -> Result<Vec<Volume>> {
        let (object, pool) = (format!("storage pool {pool:?}"), pool.to_owned());
        let list = move |connect: &Connect| {
            let pool = StoragePool::lookup_by_name(connect, &pool)?;
            pool.refresh(0)?;
            pool.list_all_volumes(0)?.iter().map(volume_of).collect()
        };
        self.shared.call("list the volumes of", &object, list).await
    }

    /// Makes a volume that takes room as it is written. After: it is listed.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind `AlreadyExists`, `NoSuchObject`, `OutOfSpace`; what libvirt
    /// refuses, such as a format that the pool does not have.
    pub async fn create_volume(
        &self,
        pool: &str,
        name: &str,
        size: Memory,
        format: VolumeFormat,
    ) -> Result<Volume> {
        let object = format!("volume {name:?} of storage pool {pool:?}");
        if name.is_empty() || name.contains(|c: char| c.is_control() || c == '/') {
            return Err(Error::invalid(object, "it needs a name without `/`"));
        }
        let document = VolumeXml::sparse(name, size, format.name()).to_element();
        let document = document.map_err(|error| not_written(&object, &error))?.to_xml();
        let (pool, name, own) = (pool.to_owned(), name.to_owned(), object.clone());
        let make = move |connect: &Connect| {
            let pool = StoragePool::lookup_by_name(connect, &pool)?;
            if StorageVol::lookup_by_name(&pool, &name).is_ok() {
                let message = "there is a volume of that name already";
                let kind = ToolstackErrorKind::AlreadyExists;
                return Err(refusal(kind, "create", &own, message).into());
            }
            volume_of(&StorageVol::create_xml(&pool, &document, 0)?)
        };
        self.shared.call("create", &object, make).await
    }

    /// Removes a volume and what is in it.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind `NoSuchObject` where there is none.
    pub async fn remove_volume(&self, pool: &str, name: &str) -> Result<()> {
        let object = format!("volume {name:?} of storage pool {pool:?}");
        let (pool, name) = (pool.to_owned(), name.to_owned());
        let remove = move |connect: &Connect| {
            let pool = StoragePool::lookup_by_name(connect, &pool)?;
            Ok(StorageVol::lookup_by_name(&pool, &name)?.delete(0)?)
        };
        self.shared.call("remove", &object, remove).await
    }
}
