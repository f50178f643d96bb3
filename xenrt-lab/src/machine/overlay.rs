//! Empty qcow2 overlays.
//!
//! A host writes to an overlay over a disk image that many hosts share. An empty overlay is a header
//! and three empty tables, so it is written here; that spares `qemu-img`, a package of its own.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{IoContext as _, LabError, Result};

/// 64 KiB, QEMU's default.
const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;

/// The format of the image below an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageFormat {
    /// Sectors and nothing else.
    Raw,
    /// QEMU's own format; here always an overlay.
    Qcow2,
}

impl ImageFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Creates the overlay `path` over `backing`, which appears as a disk of `size` bytes.
///
/// # Errors
///
/// `backing` has a name longer than a qcow2 header can hold (1023 bytes), or `path` cannot be written.
pub(crate) fn create_overlay(
    path: &Path,
    backing: &Path,
    format: ImageFormat,
    size: u64,
) -> Result<()> {
    let image = overlay(backing.as_os_str().as_bytes(), format, size)
        .map_err(|why| LabError::Damaged { path: backing.to_owned(), why })?;
    fs::write(path, image).io("write", path)
}

/// Virtual size of a disk image.
pub(crate) fn virtual_size(path: &Path, format: ImageFormat) -> Result<u64> {
    match format {
        ImageFormat::Raw => Ok(fs::metadata(path).io("look at", path)?.len()),
        ImageFormat::Qcow2 => {
            use std::io::Read as _;
            let mut header = [0; 32];
            fs::File::open(path).io("open", path)?.read_exact(&mut header).io("read", path)?;
            let size: [u8; 8] = header[24..].try_into().unwrap_or_default();
            Ok(u64::from_be_bytes(size))
        }
    }
}

/// The bytes of an empty overlay. Layout: QEMU's docs/interop/qcow2.txt, version 3.
fn overlay(backing: &[u8], format: ImageFormat, size: u64) -> Result<Vec<u8>, String> {
    if backing.len() > 1023 {
        return Err(format!("its name has {} bytes, qcow2 allows 1023", backing.len()));
    }
    // An L2 table is one cluster of 8-byte entries; each L1 entry points to one.
    let per_l1_entry = (CLUSTER as u64) * (CLUSTER as u64 / 8);
    let l1_entries = size.div_ceil(per_l1_entry);
    let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER as u64);
    // Clusters: 0 header, 1 refcount table, 2 refcount block, 3.. L1 table.
    let clusters = 3 + l1_clusters;

    let mut header = Vec::with_capacity(CLUSTER);
    let be32 = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_be_bytes());
    let be64 = |bytes: &mut Vec<u8>, value: u64| bytes.extend(value.to_be_bytes());
    // The backing format is a header extension; the name of the backing file follows all of them.
    let format = format.name().as_bytes();
    let name_offset = 104 + 8 + format.len().next_multiple_of(8) + 8;
    header.extend(b"QFI\xfb");
    be32(&mut header, 3); // version
    be64(&mut header, name_offset as u64);
    be32(&mut header, u32::try_from(backing.len()).map_err(|error| error.to_string())?);
    be32(&mut header, CLUSTER_BITS);
    be64(&mut header, size);
    be32(&mut header, 0); // no encryption
    be32(&mut header, u32::try_from(l1_entries).map_err(|error| error.to_string())?);
    be64(&mut header, 3 * CLUSTER as u64); // L1 table
    be64(&mut header, CLUSTER as u64); // refcount table
    be32(&mut header, 1); // one cluster of it
    be32(&mut header, 0); // no snapshots
    be64(&mut header, 0);
    be64(&mut header, 0); // incompatible features
    be64(&mut header, 0); // compatible features
    be64(&mut header, 0); // autoclear features
    be32(&mut header, 4); // 2^4-bit reference counts
    be32(&mut header, 104); // header length
    be32(&mut header, 0xE279_2ACA); // extension: backing format
    be32(&mut header, u32::try_from(format.len()).map_err(|error| error.to_string())?);
    header.extend(format);
    header.resize(header.len().next_multiple_of(8), 0);
    be64(&mut header, 0); // end of extensions
    header.extend(backing);

    let mut image =
        vec![0; CLUSTER * usize::try_from(clusters).map_err(|error| error.to_string())?];
    image[..header.len()].copy_from_slice(&header);
    image[CLUSTER..CLUSTER + 8].copy_from_slice(&(2 * CLUSTER as u64).to_be_bytes());
    for cluster in 0..clusters as usize {
        let at = 2 * CLUSTER + cluster * 2;
        image[at..at + 2].copy_from_slice(&1_u16.to_be_bytes());
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_four_clusters() {
        let image = overlay(b"/images/dom0.raw", ImageFormat::Raw, 3 << 30).unwrap();
        assert_eq!(image.len(), 4 * CLUSTER);
        assert_eq!(&image[..4], b"QFI\xfb");
        assert_eq!(&image[24..32], &(3_u64 << 30).to_be_bytes());
        let name = 104 + 8 + 8 + 8;
        assert_eq!(&image[name..name + 16], b"/images/dom0.raw");
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert!(overlay(&[b'x'; 2000], ImageFormat::Qcow2, 1 << 30).is_err());
    }

    #[test]
    fn the_size_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        create_overlay(&path, Path::new("/base"), ImageFormat::Raw, 12345 * 512).unwrap();
        assert_eq!(virtual_size(&path, ImageFormat::Qcow2).unwrap(), 12345 * 512);
    }
}
