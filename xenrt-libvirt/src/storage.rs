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
use crate::host::LibvirtHost;
use crate::xml::{PoolXml, Quantity, VolumeXml, XmlError};

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

    /// Makes a pool of files in the folder `path` of the host, which is made where it is missing.
    /// After: it is active.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken; what libvirt refuses, nothing is left then.
    pub async fn create_pool(&self, name: &str, path: &str) -> Result<Pool> {
        let object = format!("storage pool {name:?}");
        let document = PoolXml::folder(name, path).to_element();
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

    /// Makes a raw volume that takes room as it is written. After: it is listed.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind `AlreadyExists`, `NoSuchObject`, `OutOfSpace`.
    pub async fn create_volume(&self, pool: &str, name: &str, size: Memory) -> Result<Volume> {
        let object = format!("volume {name:?} of storage pool {pool:?}");
        if name.is_empty() || name.contains(|c: char| c.is_control() || c == '/') {
            return Err(Error::invalid(object, "it needs a name without `/`"));
        }
        let document = VolumeXml::sparse(name, size).to_element();
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
