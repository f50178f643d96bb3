//! Loops, conditions, collections, the form in YAML, and the new words.

use super::*;

/// The tests of a sequence as a tree of text.
pub(super) fn outline(sequence: &Sequence) -> String {
    let mut text = String::new();
    if let Some(root) = &sequence.tests {
        outline_block(root, 0, &mut text);
    }
    text
}

fn outline_block(block: &Block, depth: usize, text: &mut String) {
    for step in &block.steps {
        text.push_str(&"  ".repeat(depth));
        match step {
            Node::Block(inner) => {
                let group = inner.group.as_deref().unwrap_or("-");
                text.push_str(&format!("{:?} {group}\n", inner.kind));
                outline_block(inner, depth + 1, text);
            }
            Node::Test(test) => {
                let arguments: Vec<String> = test
                    .arguments
                    .iter()
                    .map(|it| format!("{}={}", it.name.as_deref().unwrap_or("-"), it.value))
                    .collect();
                let name = test.name.as_deref().unwrap_or("-");
                text.push_str(&format!("{} {name} [{}]\n", test.id, arguments.join(" ")));
            }
            Node::Action(action) => text.push_str(&format!("{:?}\n", action.action)),
        }
    }
    for inner in &block.finally {
        text.push_str(&format!("{}finally\n", "  ".repeat(depth)));
        outline_block(inner, depth + 1, text);
    }
}

#[test]
fn what_is_expanded_is_as_it_is_written_out() {
    let text = r#"<xenrt>
  <default name="PAIRS" value="(0,1),(2)"/>
  <default name="DISTROS" value="a,b,c,d"/>
  <variables><WORKERS>3</WORKERS><DISTROS>w,x,y,z</DISTROS></variables>
  <collection name="ops">
    <serial group="${WHO}">
      <testcase id="ops.one" name="${WHO}-${I}"/>
      <testcase id="ops.two" filter="slow"/>
      <finally><testcase id="ops.off"><arg>guest=${WHO}</arg></testcase></finally>
    </serial>
  </collection>
  <testsequence>
    <parallel workers="%WORKERS%">
      <for iter="P,S" values="${PAIRS}" defaults="9,8"><testcase id="pair"><arg>p=${P}</arg><arg>${S}<!-- c -->t=${P}</arg></testcase></for>
      <for iter="I" values="%DISTROS%" offset="1" limit="2">
        <include collection="ops" exclude="slow,big"><param name="WHO" value="w${I}"/></include>
      </for>
      <for iter="E" values="-,e"><testcase id="e${E}"/></for>
    </parallel>
    <ifin item="b" list="a, b"><testcase id="in"/></ifin>
    <ifnotin item="b" list="a,b"><testcase id="notin"/></ifnotin>
    <ifeq x="${WORKERS}" y="3"><testcase id="eq"/></ifeq>
    <ifnoteq x="${WORKERS}" y="3"><testcase id="noteq"/></ifnoteq>
    <action action="sleep"><arg>90</arg></action>
    <action action="prepare"/>
    <marvintests path="component/test_accounts.py" class="TestAccounts" tags="basic"><arg>x=1</arg></marvintests>
    <testcase id="typed"><arg name="loops" value="50"/><arg name="text">a=b</arg></testcase>
  </testsequence>
</xenrt>"#;
    let sequence = parse(text, "expand.seq").unwrap();
    insta::assert_snapshot!(outline(&sequence));
    assert_eq!(sequence.variables["DISTROS"], "w,x,y,z");
    let given = BTreeMap::from([("DISTROS".to_owned(), "m,n".to_owned())]);
    let sequence = parse_with(text, "expand.seq", &given).unwrap();
    assert!(outline(&sequence).contains("wn-n") && !outline(&sequence).contains("wx-x"));
}

#[test]
fn the_description_in_yaml_means_the_same_as_elements() {
    let yaml = r#"<xenrt><prepare>
{ "pools": [ { "id": 0, "name": "P", "master": "M",
    "hosts": [ { "id": 0, "name": "M", "product_version": "Tampa", "install_sr_type": "ext", "extra_config": {"a": [1, true]} }, { "id": 1 } ],
    "srs": [ { "type": "nfs", "name": "nfs1", "default": true, "options": ["jumbo", "v4"] } ],
    "network": { "controller": "dvsc", "physical_networks": [
      { "network": "NSEC", "bond_mode": "lacp", "jumbo": "yes", "nics": 2, "management": true, "storage": {"mode": "static"}, "vms": true,
        "vlans": [ { "network": "VR02", "vms": true } ] },
      { "specified_nics": [3], "management": "static" } ] },
    "vms": [ { "name": "dvsc", "file_name": "c.xva", "user": true } ] } ],
  "multihosts": { "start": 2, "end": 3 },
  "utilityvms": [ { "name": "u" } ],
  "vlans": [ { "name": "CLIENT" } ],
  "hosts": [ { "id": 4,
    "vm_groups": [ { "basename": "g", "number": 2, "memory": 512 } ],
    "vms": [ { "name": "v", "distro": "debian", "vcpus": 2, "cores_per_socket": 1, "memory": 256, "sr": "nfs1", "arch": "x86-64",
      "guestparams": {"a": "b"}, "boot_params": "quiet", "vifs": [ { "device": 0, "network": "NPRI" } ],
      "disks": [ { "device": 0, "size": 8, "count": 2, "format": "yes" } ], "postinstall": [ { "action": "shutdown" }, "start" ], } ] } ],
  "cloud": { "zones": [ { "networktype": "Advanced", "pods": [ { "clusters": [ { "XRT_Hosts": 2, "hypervisor": "KVM", "XRT_KVMHostIds": "3,4" } ] } ] } ] } }
</prepare></xenrt>"#;
    let elements = r#"<xenrt><prepare>
  <pool id="0" name="P" master="M">
    <host id="0" alias="M" productVersion="Tampa" installsr="ext" extraConfig="a: [1, true]"/><host id="1"/>
    <storage type="nfs" name="nfs1" default="true" options="jumbo,v4"/>
    <NETWORK controller="dvsc">
      <PHYSICAL network="NSEC" bond-mode="lacp" jumbo="yes"><NIC/><NIC/><MANAGEMENT/><STORAGE mode="static"/><VMS/><VLAN network="VR02"><VMS/></VLAN></PHYSICAL>
      <PHYSICAL><NIC enum="3"/><MANAGEMENT mode="static"/></PHYSICAL>
    </NETWORK>
    <vm name="dvsc"><file user="true">c.xva</file></vm>
  </pool>
  <allhosts start="2" stop="3"/>
  <sharedhost><vm name="u"/></sharedhost>
  <vlan name="CLIENT"/>
  <host id="4">
    <vmgroup basename="g" number="2"><memory>512</memory></vmgroup>
    <vm name="v"><distro>debian</distro><vcpus>2</vcpus><corespersocket>1</corespersocket><memory>256</memory><storage>nfs1</storage><arch>x86-64</arch>
      <guestparams>a=b</guestparams><bootparams>quiet</bootparams><network device="0" bridge="NPRI"/>
      <disk device="0" size="8" number="2" format="yes"/><postinstall action="shutdown"/><postinstall action="start"/></vm>
  </host>
  <cloud>{ "zones": [ { "networktype": "Advanced", "pods": [ { "clusters": [ { "XRT_Hosts": 2, "hypervisor": "KVM", "XRT_KVMHostIds": "3,4" } ] } ] } ] }</cloud>
</prepare></xenrt>"#;
    let (yaml, elements) = (parse(yaml, "x").unwrap(), parse(elements, "x").unwrap());
    let plain = |sequence: &Sequence| {
        let text = format!("{:#?}", sequence.prepare);
        let place = regex::Regex::new(r"Place \{[^}]*\}").unwrap();
        place.replace_all(&text, "_").into_owned()
    };
    let (yaml, elements) = (plain(&yaml), plain(&elements));
    for (left, right) in yaml.lines().zip(elements.lines()) {
        assert_eq!(left, right, "\n{yaml}\n\n{elements}");
    }
    assert_eq!(yaml.len(), elements.len());
}

#[test]
fn machines_are_counted_and_made() {
    let text = r#"<xenrt><prepare>
      <pool><allhosts start="1"><vm name="a"/></allhosts></pool><host id="0"/>
    </prepare><testsequence><testcase id="a" host="RESOURCE_HOST_5"/></testsequence></xenrt>"#;
    let sequence = parse(text, "x").unwrap();
    assert_eq!(sequence.prepare.machines(), 2);
    let made = sequence.prepare.with_machines(3);
    let ids: Vec<u32> = made.hosts.iter().map(|host| host.id).collect();
    assert_eq!(
        (ids, &made.pools[0].hosts[..], made.pools[0].master),
        (vec![0, 1, 2], &[1, 2][..], Some(1))
    );
    assert_eq!(made.guests().count(), 2);
}

#[test]
fn nested_hosts_have_their_containers_prepared_first() {
    let text = r#"<xenrt><prepare><host container="3" vname="xs0" vmemory="2048" vnetworks="NPRI,NSEC"/></prepare></xenrt>"#;
    let sequence = parse(text, "x").unwrap();
    assert_eq!(sequence.preprepare.hosts[0].id, 3);
    let nested = sequence.prepare.hosts[0].nested.as_ref().unwrap();
    assert_eq!(nested.networks, [NetworkRole::Primary, NetworkRole::Secondary]);
    assert_eq!(nested.memory, Some(Memory::gib(2)));
}

#[test]
fn modern_words_have_their_types() {
    let text = r#"<xenrt><testsequence timeout="1h 30m" seed="7">
      <serial repeat="3" duration="12h">
        <testcase id="a" timeout="90s" retries="2" requires="suspend, pv" claim="shared" host="any" repeat="4" depends="b, g:c"/>
        <serial group="g"><testcase id="x.c"/></serial><testcase id="b"/>
      </serial></testsequence></xenrt>"#;
    let root = parse(text, "x").unwrap().tests.unwrap();
    assert_eq!((root.timeout.unwrap().as_secs(), root.seed), (5400, Some(7)));
    let Node::Block(soak) = &root.steps[0] else { panic!("{root:?}") };
    assert_eq!((soak.rounds.times, soak.rounds.duration.unwrap().as_secs()), (Some(3), 43_200));
    let Node::Test(test) = &soak.steps[0] else { panic!("{soak:?}") };
    assert_eq!(
        (test.timeout.unwrap().as_secs(), test.retries, test.claim),
        (90, Some(2), Some(Claim::Shared))
    );
    assert_eq!((&test.host, test.rounds.times), (&Some(HostChoice::Any), Some(4)));
    assert_eq!(test.requires.len(), 2);
    assert_eq!((test.depends[1].group.as_deref(), &*test.depends[1].name), (Some("g"), "c"));
}
