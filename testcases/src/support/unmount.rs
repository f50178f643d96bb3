//! File systems of dom0 that a test mounted.

/// The line of shell that unmounts `folder`. A back end that lets go of a disk in it just now is waited for.
pub(crate) fn unmount(folder: &str) -> String {
    format!(
        "for try in 1 2 3 4 5 6 7 8 9 10; do mountpoint -q {folder} || break; \
         umount {folder} || sleep 1; done"
    )
}
