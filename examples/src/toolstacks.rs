//! The toolstacks that hosts of a lab file can have.

use std::sync::Arc;

use xenrt::model::Toolstack;
use xenrt::sim::SimToolstack;
use xenrt::xapi::XapiToolstack;
use xenrt::xl::XlToolstack;

/// All that these programs were built with; libvirt's needs the feature `libvirt`.
pub fn toolstacks() -> Vec<Arc<dyn Toolstack>> {
    vec![
        Arc::new(XlToolstack::default()),
        Arc::new(XapiToolstack::default()),
        #[cfg(feature = "libvirt")]
        Arc::new(xenrt::libvirt::LibvirtToolstack::default()),
        Arc::new(SimToolstack::default()),
    ]
}
