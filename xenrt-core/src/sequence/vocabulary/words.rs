//! The table of elements.

use std::sync::LazyLock;

use super::{Attr, Kind, Tag};
use Kind::{
    Abilities, Address, Decimal, Duration, Flag, Free, Number, Product, Speed, Storage, Text, Words,
};

/// What stands in an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sequence) enum Content {
    /// Elements, those that have it as a parent; none where there are none.
    Elements,
    /// Text.
    Text(Kind),
    /// Text that may be left out.
    Optional(Kind),
    /// Elements, or one text in YAML.
    Yaml,
    /// Elements with any names.
    Any,
}

/// One attribute of an element.
#[derive(Debug, Clone, Copy)]
pub(in crate::sequence) struct Attribute {
    pub(in crate::sequence) name: Attr,
    pub(in crate::sequence) kind: Kind,
    pub(in crate::sequence) required: bool,
    /// Whether the original did not have it.
    pub(in crate::sequence) modern: bool,
}

impl Attribute {
    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn modern(self) -> Self {
        Self { modern: true, ..self }
    }
}

const fn a(name: Attr, kind: Kind) -> Attribute {
    Attribute { name, kind, required: false, modern: false }
}

struct Entry {
    tag: Tag,
    parents: &'static [&'static [Word]],
    attributes: &'static [&'static [Attribute]],
    content: Content,
    about: &'static str,
}

macro_rules! words {
    ($($word:ident = $tag:ident in [$($parents:expr),*] has [$($attributes:expr),*] $content:expr, $about:literal;)*) => {
        /// One element at the places where it means the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub(in crate::sequence) enum Word {
            $($word,)*
            /// One with any name, below an element that has such.
            Any,
            /// One that is not known, or not there. Whoever reads passes over it.
            Unknown,
        }

        impl Word {
            /// Every word that has a name.
            pub(in crate::sequence) const ALL: &[Self] = &[$(Self::$word),*];
        }

        static WORDS: &[Entry] = &[$(Entry {
            tag: Tag::$tag,
            parents: &[$($parents),*],
            attributes: &[$($attributes),*],
            content: $content,
            about: $about,
        }),*];
    };
}

const BIG: i64 = u32::MAX as i64;

/// An attribute that every element has.
pub(in crate::sequence) const EVERYWHERE: &[Attribute] = &[a(Attr::Filter, Text)];

const TOP: &[Word] = &[Word::Xenrt];
const STEPS: &[Word] = &[
    Word::Testsequence,
    Word::Serial,
    Word::Parallel,
    Word::Finally,
    Word::Collection,
    Word::For,
    Word::Ifin,
    Word::Ifnotin,
    Word::Ifeq,
    Word::Ifnoteq,
];
const PREPARES: &[Word] = &[Word::Prepare, Word::Preprepare];
const PLACES: &[Word] = &[Word::Host, Word::Pool, Word::Allhosts];
const MACHINES: &[Word] = &[Word::Vm, Word::Vmgroup, Word::Template];
const CLOUD_MACHINES: &[Word] = &[Word::CloudTemplate, Word::CloudInstance];

const ABOUT_TESTS: &[Attribute] = &[
    a(Attr::Group, Text),
    a(Attr::Host, Text),
    a(Attr::Guest, Text),
    a(Attr::Blocker, Flag),
    a(Attr::Prio, Number(-BIG, BIG)),
    a(Attr::Ttype, Text),
    a(Attr::Tc, Text),
    a(Attr::Sku, Text),
    a(Attr::Timeout, Duration).modern(),
    a(Attr::Repeat, Number(1, BIG)).modern(),
    a(Attr::Duration, Duration).modern(),
];
const BLOCK: &[Attribute] = &[a(Attr::Seed, Number(0, i64::MAX)).modern()];
const TEST: &[Attribute] = &[
    a(Attr::Name, Text),
    a(Attr::Depends, Text),
    a(Attr::Retries, Number(0, 1000)).modern(),
    a(Attr::Requires, Abilities).modern(),
    a(Attr::Claim, Words(&["shared", "exclusive"])).modern(),
];

const INSTALL: &[Attribute] = &[
    a(Attr::Version, Text),
    a(Attr::ProductType, Product),
    a(Attr::ProductVersion, Text),
    a(Attr::Installsr, Words(&["ext", "lvm"])),
    a(Attr::Dhcp, Flag),
    a(Attr::Ipv6, Words(&["autoconf", "dhcp", "static"])),
    a(Attr::Noipv4, Flag),
    a(Attr::DiskCount, Number(0, 1000)),
    a(Attr::License, Text),
    a(Attr::Defaultlicense, Flag),
    a(Attr::Noisos, Flag),
    a(Attr::Default, Flag),
    a(Attr::Suppackcds, Text),
    a(Attr::Iommu, Flag),
    a(Attr::Disablefw, Flag),
    a(Attr::Cpufreqgovernor, Words(&["userspace", "performance", "powersave", "ondemand"])),
    a(Attr::ExtraConfig, Text),
    a(Attr::Container, Number(0, 9999)),
    a(Attr::Vname, Text),
    a(Attr::Vcpus, Number(1, 4096)),
    a(Attr::Vmemory, Number(1, BIG)),
    a(Attr::Vdisksize, Number(1, 1 << 20)),
    a(Attr::Vsr, Storage),
    a(Attr::Vnetworks, Text),
    a(Attr::Alias, Text),
];
const ID: &[Attribute] = &[a(Attr::Id, Number(0, 9999))];
const NAME: &[Attribute] = &[a(Attr::Name, Text).required()];
const ADDRESS_MODE: &[Attribute] = &[a(Attr::Mode, Words(&["dhcp", "static"]))];
const COMPARED: &[Attribute] = &[a(Attr::X, Free).required(), a(Attr::Y, Free).required()];
const LISTED: &[Attribute] = &[a(Attr::Item, Free).required(), a(Attr::List, Free).required()];
const CLOUD_MACHINE: &[Attribute] = &[
    a(Attr::Name, Text),
    a(Attr::Distro, Text),
    a(Attr::Zone, Text),
    a(Attr::InstallTools, Flag),
    a(Attr::HypervisorType, Text),
];

use Content::{Any, Elements, Optional, Yaml};

words! {
    Xenrt = Xenrt in [] has [] Elements, "A sequence file.";
    Variables = Variables in [TOP] has [] Any, "Variables by name; nested elements have names with / between the parts.";
    Default = Default in [TOP] has [&[a(Attr::Name, Text).required(), a(Attr::Value, Free).required()]] Elements, "The value of a variable that nobody else defines.";
    Semaphores = Semaphores in [TOP] has [] Any, "How many tests of one class may be at work at the same time.";
    Collection = Collection in [TOP] has [NAME] Elements, "Steps that include inserts elsewhere.";
    IncludeFile = Include in [TOP] has [&[a(Attr::Filename, Text).required()]] Elements, "Takes variables, semaphores, collections and defaults from another file.";
    ScriptFile = Script in [TOP] has [&[a(Attr::Filename, Text).required(), a(Attr::Type, Text)]] Elements, "A script for guests of the file.";
    Scheduler = Scheduler in [TOP] has [] Elements, "What the run asks of whoever chooses its machines.";
    Preprepare = Preprepare in [TOP] has [] Yaml, "What is built before prepare.";
    Prepare = Prepare in [TOP] has [] Yaml, "What is built before the first test.";
    Testsequence = Testsequence in [TOP] has [ABOUT_TESTS, BLOCK] Elements, "The tests.";
    Perfcheck = Perfcheck in [TOP] has [] Elements, "Between which values measured values are sane.";
    Limits = Limits in [&[Word::Perfcheck]] has [] Elements, "Limits of measured values.";
    LimitedTest = Testcase in [&[Word::Limits]] has [NAME] Elements, "The test that measures.";
    Metric = Metric in [&[Word::LimitedTest]] has [NAME, &[a(Attr::Min, Decimal), a(Attr::Max, Decimal)]] Elements, "One measured value.";
    Resources = Resources in [&[Word::Scheduler]] has [] Content::Text(Text), "What every machine must have: memory>=4G/NPRI>=1.";
    Resources1 = Resources1 in [&[Word::Scheduler]] has [] Content::Text(Text), "What the second machine must have.";
    ForVersion = Version in [&[Word::Scheduler]] has [] Optional(Text), "For which version of the product it is.";
    Email = Email in [&[Word::Scheduler]] has [] Optional(Text), "Who is told.";
    Skip = Skip in [&[Word::Scheduler]] has [] Optional(Text), "Tests that are left out.";
    Skipgroup = Skipgroup in [&[Word::Scheduler]] has [] Optional(Text), "Groups that are left out.";
    Holdfail = Holdfail in [&[Word::Scheduler]] has [] Content::Text(Number(0, BIG)), "For how many hours machines are kept after a failure.";
    JobParam = Param in [&[Word::Scheduler]] has [] Content::Text(Text), "A setting of the run: NAME=VALUE.";
    Flags = Flags in [&[Word::Scheduler]] has [] Optional(Text), "What the site must have.";
    JobRequires = Requires in [&[Word::Scheduler]] has [] Optional(Text), "What must have been done before.";
    MachinePool = Pool in [&[Word::Scheduler]] has [] Optional(Text), "Groups of machines to choose from.";
    Delay = Delay in [&[Word::Scheduler]] has [] Content::Text(Number(0, BIG)), "How many seconds later than others it begins.";

    Pool = Pool in [PREPARES] has [ID, &[a(Attr::Name, Text), a(Attr::Master, Text), a(Attr::Ssl, Flag)]] Elements, "Hosts that act as one.";
    Host = Host in [PREPARES, &[Word::Pool]] has [ID, INSTALL] Elements, "A host, with what is to be on it.";
    Allhosts = Allhosts in [PREPARES, &[Word::Pool]] has [&[a(Attr::Start, Number(0, 9999)), a(Attr::Stop, Number(0, 9999)), a(Attr::Id, Number(0, 9999))], INSTALL] Elements, "The same for each machine of the run.";
    Sharedhost = Sharedhost in [PREPARES] has [] Elements, "Guests on a host that several runs use.";
    CloudTemplate = Template in [PREPARES] has [CLOUD_MACHINE] Elements, "A template in a cloud.";
    CloudInstance = Instance in [PREPARES] has [CLOUD_MACHINE] Elements, "An instance in a cloud.";
    PrivateVlan = Vlan in [PREPARES] has [NAME] Elements, "A VLAN of the run's own.";
    Blueprint = Blueprint in [PREPARES] has [NAME, &[a(Attr::Version, Text), a(Attr::Profile, Text)]] Elements, "A deployment of ScaleXtreme.";
    TemplateName = TemplateName in [&[Word::Blueprint]] has [] Content::Text(Text), "The template of a deployment.";
    Cloud = Cloud in [PREPARES] has [] Content::Text(Text), "A CloudStack, described in YAML or JSON.";
    Vm = Vm in [PLACES, &[Word::Sharedhost]] has [NAME] Elements, "A guest.";
    Vmgroup = Vmgroup in [PLACES] has [&[a(Attr::Basename, Text).required(), a(Attr::Number, Number(0, 100_000)).required()]] Elements, "Several guests that are alike.";
    Template = Template in [PLACES] has [NAME] Elements, "A guest that becomes a template.";
    Storage = Storage in [PLACES] has [&[a(Attr::Type, Storage).required(), a(Attr::Name, Text).required(), a(Attr::Default, Flag), a(Attr::Options, Free), a(Attr::Network, Text), a(Attr::Blkbackpoolsize, Number(1, BIG)), a(Attr::Vmhost, Number(0, 9999)), a(Attr::Size, Number(1, 1 << 20))]] Elements, "A storage.";
    Bridge = Bridge in [PLACES] has [NAME, &[a(Attr::Type, Text)]] Elements, "A network without a network interface of the host.";
    Topology = Network in [PLACES] has [&[a(Attr::Controller, Text)]] Elements, "How the network interfaces of a host are used.";
    Physical = Physical in [&[Word::Topology]] has [&[a(Attr::Network, Text), a(Attr::Name, Text), a(Attr::Jumbo, Flag), a(Attr::Speed, Speed), a(Attr::BondMode, Words(&["balance-slb", "active-backup", "lacp"]))]] Elements, "A network with one network interface, or with a bond of several.";
    Nic = Nic in [&[Word::Physical]] has [&[a(Attr::Enum, Number(0, 255))]] Elements, "A network interface.";
    Vlan = TaggedNetwork in [&[Word::Physical]] has [&[a(Attr::Network, Text), a(Attr::Name, Text)]] Elements, "A tagged network.";
    Management = Management in [&[Word::Physical, Word::Vlan]] has [ADDRESS_MODE] Elements, "The host is managed over it.";
    StorageUse = StorageUse in [&[Word::Physical, Word::Vlan]] has [ADDRESS_MODE] Elements, "Storage is reached over it.";
    GuestUse = GuestUse in [&[Word::Physical, Word::Vlan]] has [] Elements, "Guests are on it.";

    Distro = Distro in [MACHINES] has [] Content::Text(Text), "The operating system.";
    Arch = Arch in [MACHINES] has [] Content::Text(Words(&["x86-32", "x86-64", "x86", "x64"])), "The processor.";
    Vcpus = Vcpus in [MACHINES, CLOUD_MACHINES] has [] Content::Text(Number(1, 4096)), "How many vCPUs it has.";
    Corespersocket = Corespersocket in [MACHINES] has [] Content::Text(Number(1, 4096)), "How many vCPUs are in one socket.";
    Memory = Memory in [MACHINES, CLOUD_MACHINES] has [] Content::Text(Number(1, BIG)), "Its memory in MiB.";
    Rootdisk = Rootdisk in [CLOUD_MACHINES] has [] Content::Text(Number(1, i64::MAX)), "Its disk in bytes.";
    Guestparams = Guestparams in [MACHINES] has [] Content::Text(Text), "Parameters of the guest: name=value,name=value.";
    GuestStorage = Storage in [MACHINES] has [] Content::Text(Text), "Where its disks are.";
    Vif = Vif in [MACHINES] has [&[a(Attr::Device, Number(0, 255)).required(), a(Attr::Bridge, Text), a(Attr::Ip, Address), a(Attr::Sriov, Flag), a(Attr::Physdev, Text)]] Elements, "A VIF.";
    Disk = Disk in [MACHINES] has [&[a(Attr::Device, Number(0, 255)).required(), a(Attr::Size, Number(1, 1 << 20)).required(), a(Attr::Format, Flag), a(Attr::Number, Number(1, 255))]] Elements, "An extra disk; its size is in GiB.";
    Postinstall = Postinstall in [MACHINES] has [&[a(Attr::Action, Text).required()]] Elements, "What is done once it is installed.";
    GuestScript = Script in [MACHINES] has [NAME] Elements, "A script that is run in it.";
    File = File in [MACHINES] has [&[a(Attr::User, Flag)]] Content::Text(Text), "The file that it is imported from.";
    Bootparams = Bootparams in [MACHINES] has [] Content::Text(Text), "The arguments of its kernel.";
    Packages = Packages in [MACHINES] has [] Content::Text(Text), "Packages that are installed in it.";

    Serial = Serial in [STEPS] has [ABOUT_TESTS, BLOCK] Elements, "Steps one after the other.";
    Parallel = Parallel in [STEPS] has [&[a(Attr::Workers, Number(1, BIG))], ABOUT_TESTS, BLOCK] Elements, "Steps side by side.";
    Testcase = Testcase in [STEPS] has [&[a(Attr::Id, Text).required()], TEST, ABOUT_TESTS] Elements, "A test.";
    Marvintests = Marvintests in [STEPS] has [&[a(Attr::Path, Text).required(), a(Attr::Class, Text), a(Attr::Tags, Text)], TEST, ABOUT_TESTS] Elements, "Tests of CloudStack.";
    Arg = Arg in [&[Word::Testcase, Word::Marvintests, Word::Action]] has [&[a(Attr::Name, Text).modern(), a(Attr::Value, Free).modern()]] Optional(Text), "An argument.";
    Finally = Finally in [STEPS] has [ABOUT_TESTS, BLOCK] Elements, "Steps that run whatever came of those before.";
    Action = Action in [STEPS] has [&[a(Attr::Action, Words(&["sleep", "prepare"])).required()], ABOUT_TESTS] Elements, "Something that is done between tests.";
    For = For in [STEPS] has [&[a(Attr::Iter, Text).required(), a(Attr::Values, Free).required(), a(Attr::Defaults, Free), a(Attr::Offset, Text), a(Attr::Limit, Text)]] Elements, "The steps in it once for each value.";
    Ifin = Ifin in [STEPS] has [LISTED] Elements, "The steps in it if the item is in the list.";
    Ifnotin = Ifnotin in [STEPS] has [LISTED] Elements, "The steps in it if the item is not in the list.";
    Ifeq = Ifeq in [STEPS] has [COMPARED] Elements, "The steps in it if both are the same.";
    Ifnoteq = Ifnoteq in [STEPS] has [COMPARED] Elements, "The steps in it if both are not the same.";
    Include = Include in [STEPS] has [&[a(Attr::Collection, Text).required(), a(Attr::Exclude, Text)]] Elements, "The steps of a collection.";
    Param = Param in [&[Word::Include]] has [&[a(Attr::Name, Text).required(), a(Attr::Value, Free).required()]] Elements, "A variable of the steps that are included.";
}

/// What is looked up often, made once.
struct Tables {
    /// By parent and name of the child.
    children: Vec<[Word; Tag::ALL.len()]>,
    /// By word: the attributes that it has, a bit each.
    attributes: Vec<u128>,
    /// By word: those that it cannot be without.
    required: Vec<u128>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut children = vec![[Word::Unknown; Tag::ALL.len()]; Word::Unknown as usize + 1];
    let (mut attributes, mut required) = (Vec::new(), Vec::new());
    for word in Word::ALL {
        for parent in word.parents() {
            children[parent as usize][word.tag() as usize] = *word;
        }
        let bit = |attribute: &Attribute| attribute.name.bit();
        attributes.push(word.attributes().fold(0, |all, attribute| all | bit(attribute)));
        let needed = word.attributes().filter(|attribute| attribute.required);
        required.push(needed.fold(0, |all, attribute| all | bit(attribute)));
    }
    Tables { children, attributes, required }
});

impl Word {
    fn entry(self) -> Option<&'static Entry> {
        WORDS.get(self as usize)
    }

    /// Its name; that of the root where it has none.
    pub(in crate::sequence) fn tag(self) -> Tag {
        self.entry().map_or(Tag::Xenrt, |entry| entry.tag)
    }

    /// The elements that it may stand in.
    pub(in crate::sequence) fn parents(self) -> impl Iterator<Item = Self> {
        self.entry().into_iter().flat_map(|entry| entry.parents).flat_map(|group| *group).copied()
    }

    /// What a child with this name is.
    pub(in crate::sequence) fn child(self, tag: Tag) -> Self {
        TABLES.children[self as usize][tag as usize]
    }

    /// All children that it may have.
    pub(in crate::sequence) fn children(self) -> impl Iterator<Item = Self> {
        TABLES.children[self as usize].iter().copied().filter(|child| *child != Self::Unknown)
    }

    /// Its attributes, those that every element has among them.
    pub(in crate::sequence) fn attributes(self) -> impl Iterator<Item = &'static Attribute> {
        let own = self.entry().into_iter().flat_map(|entry| entry.attributes);
        own.flat_map(|group| *group).chain(EVERYWHERE)
    }

    /// Whether it has this attribute.
    pub(in crate::sequence) fn has(self, attribute: Attr) -> bool {
        self.has_all(attribute.bit())
    }

    /// Whether it has all attributes of these [bits](Attr::bit).
    pub(in crate::sequence) fn has_all(self, given: u128) -> bool {
        let all = TABLES.attributes.get(self as usize).copied().unwrap_or(0);
        given & !all == 0
    }

    /// The attributes that it cannot be without and that are not among these bits.
    pub(in crate::sequence) fn missing(self, given: u128) -> u128 {
        TABLES.required.get(self as usize).map_or(0, |required| required & !given)
    }

    /// What its attribute looks like.
    pub(in crate::sequence) fn kind(self, name: Attr) -> Kind {
        let found = self.attributes().find(|attribute| attribute.name == name);
        found.map_or(Free, |attribute| attribute.kind)
    }

    /// What stands in it.
    pub(in crate::sequence) fn content(self) -> Content {
        self.entry().map_or(Content::Any, |entry| entry.content)
    }

    /// What it is, in a sentence.
    pub(in crate::sequence) fn about(self) -> &'static str {
        self.entry().map_or("", |entry| entry.about)
    }

    /// Where an element with this name may stand; empty for one that the language does not have.
    pub(in crate::sequence) fn homes(tag: Tag) -> Vec<Tag> {
        let words = Self::ALL.iter().filter(|word| word.tag() == tag);
        let mut homes: Vec<Tag> = Vec::new();
        for parent in words.flat_map(|word| word.parents()) {
            if !homes.contains(&parent.tag()) {
                homes.push(parent.tag());
            }
        }
        homes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_can_be_reached_from_the_root() {
        for word in Word::ALL.iter().skip(1) {
            assert!(word.parents().count() > 0, "{word:?} stands nowhere");
            for parent in word.parents() {
                assert_eq!(parent.child(word.tag()), *word, "in {parent:?}");
            }
        }
        assert!(Attr::ALL.len() <= 127, "an attribute is a bit of 128, one of which is for others");
    }

    #[test]
    fn what_cannot_be_left_out_is_known() {
        assert_eq!(Word::Vmgroup.missing(Attr::Number.bit()), Attr::Basename.bit());
        assert_eq!(Word::Vm.missing(Attr::Name.bit()), 0);
        assert!(Word::Vm.has(Attr::Filter) && !Word::Vm.has(Attr::Id));
        assert!(!Word::Vm.has_all(Attr::Name.bit() | Attr::OTHER));
    }
}
