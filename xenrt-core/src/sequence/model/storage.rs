//! Storage that a sequence prepares.

use serde::{Deserialize, Serialize};

use super::{NetworkRole, Place, Word};
use crate::model::Memory;

/// One `<storage>` of a host or pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageStep {
    /// `type`.
    pub kind: StorageType,
    /// `name`: the name of the storage and by which guests and tests know it.
    pub name: Word,
    /// `default`: whether disks, crash dumps and suspend images go there unless said otherwise.
    pub is_default: bool,
    /// `options`.
    pub options: Vec<StorageOption>,
    /// `network`: the network over which it is reached.
    pub network: Option<NetworkRole>,
    /// `blkbackpoolsize`: pages that the block back ends have for requests in flight.
    pub block_backend_pages: Option<u32>,
    /// `vmhost`: the number of the host with the guest that exports it.
    pub exporter_host: Option<u32>,
    /// `size`, in GiB in the file.
    pub size: Option<Memory>,
    /// Where it stands.
    pub place: Place,
}

/// What a storage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StorageType {
    /// `ext`: files on a file system of the host's own disk.
    Ext,
    /// `lvm`: logical volumes on the host's own disk.
    Lvm,
    /// `nfs`: files on an NFS server.
    Nfs,
    /// `lvmoiscsi`: logical volumes on an iSCSI disk.
    LvmOverIscsi,
    /// `extoiscsi`: a file system on an iSCSI disk. (The original also had the spelling
    /// `extoscsi`, of which each half of it knew one.)
    ExtOverIscsi,
    /// `fc`: logical volumes on a fibre channel disk.
    FibreChannel,
    /// `fcoe`: the same over Ethernet.
    Fcoe,
    /// `smb`: files on a Windows share.
    Smb,
    /// `iso`: installation images.
    Iso,
    /// `nfstemplate`: templates on an NFS server.
    NfsTemplate,
    /// `netapp`: volumes of a NetApp filer.
    NetApp,
    /// `eql`, `equal`: volumes of an EqualLogic array.
    EqualLogic,
    /// `cvsm...`: StorageLink with a server of its own.
    StorageLink(StorageLinkArray),
    /// `icvsm...`: StorageLink inside the host.
    IntegratedStorageLink(StorageLinkArray),
    /// `smapiv3local`, `btrfs`: the third storage interface, on the host's own disk.
    Smapiv3Local,
    /// `smapiv3shared`, `rawnfs`: the third storage interface, shared.
    Smapiv3Shared,
}

/// The array behind StorageLink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageLinkArray {
    /// `netapp`.
    NetApp,
    /// `eql`.
    EqualLogic,
    /// `fc`.
    FibreChannel,
    /// `smisiscsi`: any array with an SMI-S interface, over iSCSI.
    SmisIscsi,
    /// `smisfc`: any array with an SMI-S interface, over fibre channel.
    SmisFibreChannel,
}

impl StorageType {
    /// The words of the file; the first word of a type is its name.
    pub const WORDS: [(&'static str, Self); 28] = [
        ("ext", Self::Ext),
        ("lvm", Self::Lvm),
        ("nfs", Self::Nfs),
        ("lvmoiscsi", Self::LvmOverIscsi),
        ("extoiscsi", Self::ExtOverIscsi),
        ("extoscsi", Self::ExtOverIscsi),
        ("fc", Self::FibreChannel),
        ("fcoe", Self::Fcoe),
        ("smb", Self::Smb),
        ("iso", Self::Iso),
        ("nfstemplate", Self::NfsTemplate),
        ("netapp", Self::NetApp),
        ("eql", Self::EqualLogic),
        ("equal", Self::EqualLogic),
        ("cvsmnetapp", Self::StorageLink(StorageLinkArray::NetApp)),
        ("cvsmeql", Self::StorageLink(StorageLinkArray::EqualLogic)),
        ("cvsmfc", Self::StorageLink(StorageLinkArray::FibreChannel)),
        ("cvsmsmisiscsi", Self::StorageLink(StorageLinkArray::SmisIscsi)),
        ("cvsmsmisfc", Self::StorageLink(StorageLinkArray::SmisFibreChannel)),
        ("icvsmnetapp", Self::IntegratedStorageLink(StorageLinkArray::NetApp)),
        ("icvsmeql", Self::IntegratedStorageLink(StorageLinkArray::EqualLogic)),
        ("icvsmfc", Self::IntegratedStorageLink(StorageLinkArray::FibreChannel)),
        ("icvsmsmisiscsi", Self::IntegratedStorageLink(StorageLinkArray::SmisIscsi)),
        ("icvsmsmisfc", Self::IntegratedStorageLink(StorageLinkArray::SmisFibreChannel)),
        ("smapiv3local", Self::Smapiv3Local),
        ("btrfs", Self::Smapiv3Local),
        ("smapiv3shared", Self::Smapiv3Shared),
        ("rawnfs", Self::Smapiv3Shared),
    ];

    /// The name in files.
    pub fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("storage", |(name, _)| name)
    }
}

/// One of the `options` of a `<storage>`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageOption {
    /// `iet`: the disk is exported by the controller.
    FromController,
    /// `ietvm`, `vm`: it is exported by a guest that is made for it.
    FromGuest,
    /// `jumbo`: over a network with large frames.
    Jumbo,
    /// `mpprdac`: with this multipath driver.
    MppRdac,
    /// `initiatorcount=2`: for so many initiators.
    Initiators(u32),
    /// `thin`: space is taken when it is written.
    Thin,
    /// `thin_init:10`: so much is taken at once; as the file says it.
    ThinInitial(String),
    /// `thin_quan:10`: so much is taken each time; as the file says it.
    ThinQuantum(String),
    /// `nosubdir`: without a folder of its own on the server.
    NoSubfolder,
    /// `filesr`: as a storage of files.
    FileBased,
    /// `v4`, `4`: with version 4 of NFS.
    NfsVersion4,
    /// `cifsuser`: with a user of its own.
    OwnUser,
    /// `host-1-sdb`: it is exported by this host of the run.
    FromHost {
        /// Its number.
        host: u32,
        /// The disk or drive; any unless given.
        device: Option<String>,
    },
    /// `LUN0`, `sdb` and whatever else there is: the name of a disk in the lab.
    Device(String),
}
