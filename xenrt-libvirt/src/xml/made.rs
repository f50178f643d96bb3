//! What this library keeps of a guest in its domain's document.

use serde::Serialize;

use super::domain::to_element;
use super::{Element, XmlError};

/// The name space of what this library keeps in a domain's `metadata`.
const NAMESPACE: &str = "https://xenrt.org/libvirt/guest/1";

/// What this library keeps of a guest in its domain's `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename = "xenrt:guest")]
pub struct Made {
    #[serde(rename = "@xmlns:xenrt")]
    namespace: &'static str,
    /// The image that it was made from.
    #[serde(rename = "xenrt:image", skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The address that was chosen for it.
    #[serde(rename = "xenrt:address", skip_serializing_if = "Option::is_none")]
    pub address: Option<std::net::IpAddr>,
    /// The maximum of its memory, in KiB, where one was chosen that is more than it began with.
    #[serde(rename = "xenrt:max-memory-kib", skip_serializing_if = "Option::is_none")]
    pub max_memory_kib: Option<u64>,
}

impl Made {
    /// Of a guest that this library made.
    pub fn new(image: Option<String>, address: Option<std::net::IpAddr>) -> Self {
        Self { namespace: NAMESPACE, image, address, max_memory_kib: None }
    }

    /// The same with a maximum of its memory that was chosen.
    #[must_use]
    pub fn with_max_memory_kib(self, kib: Option<u64>) -> Self {
        Self { max_memory_kib: kib, ..self }
    }

    /// What is in a domain's document; `None` where this library did not make it.
    ///
    /// # Errors
    /// When it is there and not understood.
    pub fn of(domain: &Element) -> Result<Option<Self>, XmlError> {
        let own = |element: &&Element| {
            let prefix = element.name.strip_suffix(":guest").unwrap_or_default();
            element.attribute(&format!("xmlns:{prefix}")) == Some(NAMESPACE)
        };
        let metadata = domain.child("metadata");
        let Some(found) = metadata.and_then(|metadata| metadata.elements().find(own)) else {
            return Ok(None);
        };
        let text = |name: &str| {
            found.elements().find(|element| element.local_name() == name).map(Element::text)
        };
        let address = text("address").map(|address| {
            let wrong = |_| XmlError::Unexpected(format!("the address {address:?} of a guest"));
            address.parse().map_err(wrong)
        });
        let most = text("max-memory-kib").map(|kib| {
            kib.parse().map_err(|_| {
                XmlError::Unexpected(format!("the maximum {kib:?} of a guest's memory"))
            })
        });
        let made = Self::new(text("image"), address.transpose()?);
        Ok(Some(made.with_max_memory_kib(most.transpose()?)))
    }

    /// Puts it into a domain's document, beside what others keep there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_into(&self, domain: &mut Element) -> Result<(), XmlError> {
        domain.child_mut("metadata").push(to_element(self)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = include_str!("../../tests/data/odd-domain.xml");

    #[test]
    fn what_this_library_keeps_stands_beside_what_others_keep() {
        let mut tree = Element::parse(ODD).unwrap();
        assert_eq!(Made::of(&tree).unwrap(), None);
        let made = Made::new(Some("tiny".into()), Some("10.0.0.7".parse().unwrap()));
        let made = made.with_max_memory_kib(Some(196_608));
        made.put_into(&mut tree).unwrap();
        let again = Element::parse(&tree.to_xml()).unwrap();
        assert_eq!(Made::of(&again).unwrap(), Some(made));
        assert_eq!(again.child("metadata").unwrap().elements().count(), 3);
    }
}
