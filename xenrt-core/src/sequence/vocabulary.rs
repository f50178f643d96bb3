//! The words of the language: every element and attribute of the original, where each may stand,
//! and which of them this version carries out.
//!
//! Whoever carries out one more changes its [`Status`] here and reads it in `build`.

use Status::{Done, NoEffect, NotYet};

/// What this version does with a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// What the original did with it.
    Done,
    /// It is understood, and its absence from a run does no harm: a warning.
    NoEffect,
    /// A run without it would not be what the file asks for: an error.
    NotYet,
}

/// One element of the language.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    /// The elements that it may stand in.
    pub(super) parents: &'static [&'static str],
    pub(super) status: Status,
    /// Attributes; those of an element that is not carried out are not looked at.
    pub(super) attributes: &'static [(&'static str, Status)],
}

/// Attributes that the original read on every element.
pub(super) const EVERYWHERE: &[(&str, Status)] = &[("filter", NotYet)];

const STEPS: &[&str] = &[
    "testsequence",
    "serial",
    "parallel",
    "finally",
    "collection",
    "for",
    "ifin",
    "ifnotin",
    "ifeq",
    "ifnoteq",
];
const PREPARES: &[&str] = &["prepare", "preprepare"];
const PLACES: &[&str] = &["host", "pool", "allhosts"];
const MACHINES: &[&str] = &["vm", "vmgroup", "template"];

const BLOCK: &[(&str, Status)] = &[
    ("group", Done),
    ("host", Done),
    ("guest", Done),
    ("blocker", Done),
    ("prio", NoEffect),
    ("ttype", NoEffect),
    ("tc", NoEffect),
    ("sku", NoEffect),
];

const PARALLEL: &[(&str, Status)] = &[
    ("workers", Done),
    ("group", Done),
    ("host", Done),
    ("guest", Done),
    ("blocker", Done),
    ("prio", NoEffect),
    ("ttype", NoEffect),
    ("tc", NoEffect),
    ("sku", NoEffect),
];

const TESTCASE: &[(&str, Status)] = &[
    ("id", Done),
    ("name", Done),
    ("group", Done),
    ("host", Done),
    ("guest", Done),
    ("blocker", Done),
    ("tc", Done),
    ("prio", NoEffect),
    ("ttype", NoEffect),
    ("sku", NoEffect),
    ("depends", NoEffect),
];

const HOST: &[(&str, Status)] = &[
    ("id", Done),
    ("alias", Done),
    ("version", NotYet),
    ("productType", NotYet),
    ("productVersion", NotYet),
    ("installsr", NotYet),
    ("dhcp", NotYet),
    ("ipv6", NotYet),
    ("noipv4", NotYet),
    ("diskCount", NotYet),
    ("license", NotYet),
    ("defaultlicense", NotYet),
    ("noisos", NotYet),
    ("default", NotYet),
    ("suppackcds", NotYet),
    ("iommu", NotYet),
    ("disablefw", NotYet),
    ("cpufreqgovernor", NotYet),
    ("extraConfig", NotYet),
    ("container", NotYet),
    ("vname", NotYet),
    ("vcpus", NotYet),
    ("vmemory", NotYet),
    ("vdisksize", NotYet),
    ("vsr", NotYet),
    ("vnetworks", NotYet),
];

const NETWORK: &[(&str, Status)] =
    &[("device", Done), ("bridge", Done), ("ip", NotYet), ("sriov", NotYet), ("physdev", NotYet)];

const DISK: &[(&str, Status)] =
    &[("device", Done), ("size", Done), ("number", Done), ("format", NoEffect)];

const fn word(
    name: &'static str,
    parents: &'static [&'static str],
    status: Status,
    attributes: &'static [(&'static str, Status)],
) -> Word {
    Word { name, parents, status, attributes }
}

/// Every element, in the order in which a file has them.
static WORDS: &[Word] = &[
    word("xenrt", &[], Done, &[]),
    word("variables", &["xenrt"], Done, &[]),
    word("default", &["xenrt"], NotYet, &[]),
    word("semaphores", &["xenrt"], NotYet, &[]),
    word("collection", &["xenrt"], NotYet, &[]),
    word("include", &["xenrt"], NotYet, &[]),
    word("script", &["xenrt"], NotYet, &[]),
    word("preprepare", &["xenrt"], NotYet, &[]),
    word("prepare", &["xenrt"], Done, &[]),
    word("testsequence", &["xenrt"], Done, BLOCK),
    word("perfcheck", &["xenrt"], NotYet, &[]),
    word("scheduler", &["xenrt"], NotYet, &[]),
    // What is prepared.
    word("pool", PREPARES, NotYet, &[]),
    word("host", &["prepare", "preprepare", "pool"], Done, HOST),
    word("allhosts", &["prepare", "preprepare", "pool"], NotYet, &[]),
    word("sharedhost", PREPARES, NotYet, &[]),
    word("template", PREPARES, NotYet, &[]),
    word("instance", PREPARES, NotYet, &[]),
    word("vlan", PREPARES, NotYet, &[]),
    word("blueprint", PREPARES, NotYet, &[]),
    word("cloud", PREPARES, NotYet, &[]),
    word("vm", &["host", "pool", "allhosts", "sharedhost"], Done, &[("name", Done)]),
    word("vmgroup", PLACES, NotYet, &[]),
    word("template", PLACES, NotYet, &[]),
    word("storage", PLACES, NotYet, &[]),
    word("bridge", PLACES, NotYet, &[]),
    word("NETWORK", PLACES, NotYet, &[]),
    word("PHYSICAL", &["NETWORK"], NotYet, &[]),
    word("NIC", &["PHYSICAL"], NotYet, &[]),
    word("VLAN", &["PHYSICAL"], NotYet, &[]),
    word("MANAGEMENT", &["PHYSICAL", "VLAN"], NotYet, &[]),
    word("STORAGE", &["PHYSICAL", "VLAN"], NotYet, &[]),
    word("VMS", &["PHYSICAL", "VLAN"], NotYet, &[]),
    // What a guest is made of.
    word("distro", MACHINES, Done, &[]),
    word("vcpus", MACHINES, Done, &[]),
    word("memory", MACHINES, Done, &[]),
    word("network", MACHINES, Done, NETWORK),
    word("disk", MACHINES, Done, DISK),
    word("arch", MACHINES, NotYet, &[]),
    word("corespersocket", MACHINES, NotYet, &[]),
    word("guestparams", MACHINES, NotYet, &[]),
    word("storage", MACHINES, NotYet, &[]),
    word("postinstall", MACHINES, NotYet, &[]),
    word("script", MACHINES, NotYet, &[]),
    word("file", MACHINES, NotYet, &[]),
    word("bootparams", MACHINES, NotYet, &[]),
    word("packages", MACHINES, NotYet, &[]),
    word("rootdisk", &["template", "instance"], NotYet, &[]),
    word("templateName", &["blueprint"], NotYet, &[]),
    // The tests.
    word("serial", STEPS, Done, BLOCK),
    word("parallel", STEPS, Done, PARALLEL),
    word("testcase", STEPS, Done, TESTCASE),
    word("arg", &["testcase", "marvintests", "action"], Done, &[]),
    word("marvintests", STEPS, NotYet, &[]),
    word("finally", STEPS, NotYet, &[]),
    word("action", STEPS, NotYet, &[]),
    word("for", STEPS, NotYet, &[]),
    word("ifin", STEPS, NotYet, &[]),
    word("ifnotin", STEPS, NotYet, &[]),
    word("ifeq", STEPS, NotYet, &[]),
    word("ifnoteq", STEPS, NotYet, &[]),
    word("include", STEPS, NotYet, &[]),
    word("param", &["include", "scheduler"], NotYet, &[]),
    word("limits", &["perfcheck"], NotYet, &[]),
    word("metric", &["testcase"], NotYet, &[]),
    word("resources", &["scheduler"], NotYet, &[]),
    word("flags", &["scheduler"], NotYet, &[]),
];

/// The element `name` as it may stand in `parent`.
pub(super) fn find(name: &str, parent: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.name == name && word.parents.contains(&parent))
}

/// The root.
pub(super) fn root() -> &'static Word {
    &WORDS[0]
}

/// Where an element may stand; empty for one that the language does not have. Places that are not
/// carried out yet are left out where there are others.
pub(super) fn parents(name: &str) -> Vec<&'static str> {
    let words = WORDS.iter().filter(|word| word.name == name);
    let all: Vec<&'static str> = words.flat_map(|word| word.parents).copied().collect();
    let carried_out =
        |parent: &&&str| WORDS.iter().any(|word| word.name == **parent && word.status != NotYet);
    let now: Vec<&'static str> = all.iter().filter(carried_out).copied().collect();
    if now.is_empty() { all } else { now }
}

/// The elements that may stand in `parent` and that this version knows what to do with.
pub(super) fn children(parent: &str) -> Vec<&'static str> {
    let here = WORDS.iter().filter(|word| word.parents.contains(&parent));
    here.filter(|word| word.status != NotYet).map(|word| word.name).collect()
}

/// All elements that may stand in `parent`.
pub(super) fn all_children(parent: &str) -> Vec<&'static str> {
    WORDS.iter().filter(|word| word.parents.contains(&parent)).map(|word| word.name).collect()
}

impl Word {
    /// What becomes of an attribute; `None` where the element does not have it.
    pub(super) fn attribute(&self, name: &str) -> Option<Status> {
        let found = self.attributes.iter().chain(EVERYWHERE).find(|(known, _)| *known == name);
        found.map(|(_, status)| *status)
    }

    /// The attributes that this version knows what to do with.
    pub(super) fn attributes_now(&self) -> impl Iterator<Item = &'static str> {
        self.attributes.iter().filter(|(_, status)| *status != NotYet).map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_can_be_reached_from_the_root() {
        for word in WORDS {
            for parent in word.parents {
                assert!(
                    WORDS.iter().any(|other| other.name == *parent),
                    "<{}> stands in <{parent}>, which is not there",
                    word.name
                );
                assert!(std::ptr::eq(find(word.name, parent).unwrap(), word), "{}", word.name);
            }
        }
    }
}
