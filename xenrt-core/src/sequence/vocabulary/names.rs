//! Names of elements and attributes, found by a hash that is made when the library is built. Short
//! names are compared as one number.

/// Slots of a table; a power of two, far above the number of names.
const SLOTS: usize = 512;
const EMPTY: u8 = u8::MAX;

/// A name as one number, its first byte the lowest; 0 for one that is longer than sixteen bytes.
const fn packed(name: &[u8]) -> u128 {
    if name.len() > 16 {
        return 0;
    }
    let (mut number, mut at) = (0, 0);
    while at < name.len() {
        number |= (name[at] as u128) << (8 * at);
        at += 1;
    }
    number
}

const fn slot(packed: u128) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let folded = (packed as u64) ^ ((packed >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as usize
}

const fn table(names: &[&str]) -> [u8; SLOTS] {
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < names.len() {
        let mut at = slot(packed(names[index].as_bytes()));
        while table[at] != EMPTY {
            at = (at + 1) % SLOTS;
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 255 names")]
        let number = index as u8;
        table[at] = number;
        index += 1;
    }
    table
}

#[inline]
fn find(name: u128, names: &[u128], table: &[u8; SLOTS]) -> Option<usize> {
    let mut at = slot(name);
    loop {
        let index = usize::from(table[at]);
        if table[at] == EMPTY {
            return None;
        }
        if names[index] == name {
            return Some(index);
        }
        at = (at + 1) % SLOTS;
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident: $($variant:ident $name:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub(in crate::sequence) enum $type { $($variant),* }

        impl $type {
            pub(in crate::sequence) const ALL: &[Self] = &[$(Self::$variant),*];
            const NAMES: &[&'static str] = &[$($name),*];

            /// The one with this name.
            pub(in crate::sequence) fn of(name: &str) -> Option<Self> {
                let found = match packed(name.as_bytes()) {
                    0 => Self::ALL.iter().copied().find(|known| known.name() == name),
                    packed => Self::of_packed(packed),
                };
                // One with a NUL behind it is the same number.
                found.filter(|known| known.name() == name)
            }

            /// The one whose name, of at most sixteen bytes, is this as one number, the first byte
            /// the lowest.
            #[inline]
            pub(in crate::sequence) fn of_packed(name: u128) -> Option<Self> {
                static TABLE: [u8; SLOTS] = table($type::NAMES);
                static PACKED: &[u128] = &[$(packed($name.as_bytes())),*];
                find(name, PACKED, &TABLE).map(|index| Self::ALL[index])
            }

            pub(in crate::sequence) const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

names! {
    /// The name of an element.
    Tag:
    Xenrt "xenrt" Variables "variables" Default "default" Semaphores "semaphores"
    Collection "collection" Include "include" Script "script" Preprepare "preprepare"
    Prepare "prepare" Testsequence "testsequence" Perfcheck "perfcheck" Limits "limits"
    Metric "metric" Scheduler "scheduler" Resources "resources" Resources1 "resources1"
    Version "version" Email "email" Skip "skip" Skipgroup "skipgroup" Holdfail "holdfail"
    Flags "flags" Requires "requires" Delay "delay" Pool "pool" Host "host" Allhosts "allhosts"
    Sharedhost "sharedhost" Template "template" Instance "instance" Vlan "vlan"
    Blueprint "blueprint" TemplateName "templateName" Cloud "cloud" Vm "vm" Vmgroup "vmgroup"
    Storage "storage" Bridge "bridge" Network "NETWORK" Physical "PHYSICAL" Nic "NIC"
    TaggedNetwork "VLAN" Management "MANAGEMENT" StorageUse "STORAGE" GuestUse "VMS"
    Distro "distro" Arch "arch" Vcpus "vcpus" Corespersocket "corespersocket" Memory "memory"
    Guestparams "guestparams" Vif "network" Disk "disk" Postinstall "postinstall" File "file"
    Bootparams "bootparams" Packages "packages" Rootdisk "rootdisk" Serial "serial"
    Parallel "parallel" Testcase "testcase" Arg "arg" Marvintests "marvintests"
    Finally "finally" Action "action" For "for" Ifin "ifin" Ifnotin "ifnotin" Ifeq "ifeq"
    Ifnoteq "ifnoteq" Param "param"
}

names! {
    /// The name of an attribute.
    Attr:
    Filter "filter" Name "name" Value "value" Count "count" Filename "filename" Type "type"
    Id "id" Alias "alias" Version "version" ProductType "productType"
    ProductVersion "productVersion" Installsr "installsr" Dhcp "dhcp" Ipv6 "ipv6" Noipv4 "noipv4"
    DiskCount "diskCount" License "license" Defaultlicense "defaultlicense" Noisos "noisos"
    Default "default" Suppackcds "suppackcds" Iommu "iommu" Disablefw "disablefw"
    Cpufreqgovernor "cpufreqgovernor" ExtraConfig "extraConfig" Container "container"
    Vname "vname" Vcpus "vcpus" Vmemory "vmemory" Vdisksize "vdisksize" Vsr "vsr"
    Vnetworks "vnetworks" Start "start" Stop "stop" Master "master" Ssl "ssl" Options "options"
    Network "network" Blkbackpoolsize "blkbackpoolsize" Vmhost "vmhost" Size "size"
    Basename "basename" Number "number" Device "device" Bridge "bridge" Ip "ip" Sriov "sriov"
    Physdev "physdev" Format "format" Action "action" User "user" Controller "controller"
    Jumbo "jumbo" Speed "speed" BondMode "bond-mode" Enum "enum" Mode "mode" Distro "distro"
    InstallTools "installTools" HypervisorType "hypervisorType" Zone "zone"
    Profile "deploymentProfileTemplateName" Group "group" Host "host" Guest "guest"
    Blocker "blocker" Prio "prio" Ttype "ttype" Tc "tc" Sku "sku" Workers "workers"
    Timeout "timeout" Repeat "repeat" Duration "duration" Seed "seed" Depends "depends"
    Retries "retries" Requires "requires" Claim "claim" Path "path" Class "class" Tags "tags"
    Iter "iter" Values "values" Defaults "defaults" Offset "offset" Limit "limit" Item "item"
    List "list" X "x" Y "y" Collection "collection" Exclude "exclude" Min "min" Max "max"
}

impl Attr {
    /// The bit of an attribute that is none of these.
    pub(in crate::sequence) const OTHER: u128 = 1 << 127;

    /// Its bit, where attributes are a set.
    #[inline]
    pub(in crate::sequence) const fn bit(self) -> u128 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        for tag in Tag::ALL {
            assert_eq!(Tag::of(tag.name()), Some(*tag));
        }
        for attribute in Attr::ALL {
            assert_eq!(Attr::of(attribute.name()), Some(*attribute));
        }
        for other in ["", "\0", "host\0", "x y", "serail", "Host", "größe", &"x".repeat(1000)] {
            assert_eq!(Tag::of(other), None, "{other:?}");
            assert_eq!(Attr::of(other), None, "{other:?}");
        }
    }
}
