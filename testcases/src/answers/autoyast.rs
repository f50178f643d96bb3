//! SUSE's `AutoYaST` profiles (`AutoYaST` Guide, SLES 12 and 15; the older ones read the same words).

use quick_xml::escape::escape;
use xenrt::Error;

use super::{Addressing, AnswerFile, Answers, major};
use crate::systems::GuestSystem;

pub(super) fn files(answers: &Answers, system: &GuestSystem) -> Result<Vec<AnswerFile>, Error> {
    let release = match system.family.as_str() {
        "SLES" | "SLED" => major(system).unwrap_or(15),
        // Leap 15 is made of the sources of SLES 15; 42 of 12.
        _ => major(system).map_or(15, |number| if number == 42 { 12 } else { number }),
    };
    // glibc knows SHA-512 crypt since 2.7, which is SLES 11's.
    let (password, encrypted) = if release < 11 {
        (answers.password.clone(), "false")
    } else {
        (answers.shadow()?, "true")
    };
    let account = |name: &str| {
        format!(
            "    <user>\n      <username>{name}</username>\n      <user_password>{}</user_password>\n      \
             <encrypted config:type=\"boolean\">{encrypted}</encrypted>\n    </user>\n",
            escape(&password)
        )
    };
    let users: String =
        std::iter::once("root").chain(answers.user.as_deref()).map(account).collect();
    let packages: String = std::iter::once("openssh")
        .chain(answers.packages.iter().map(String::as_str))
        .map(|name| format!("      <package>{}</package>\n", escape(name)))
        .collect();
    // Since 15 the medium is empty, and a product must be named.
    let products = match (release >= 15, system.family.as_str()) {
        (false, _) => String::new(),
        (true, family @ ("SLES" | "SLED")) => product(family),
        (true, _) => product("Leap"),
    };
    let pattern = if release >= 15 { "minimal_base" } else { "Minimal" };
    let source = answers.source.as_ref().map_or(String::new(), |url| {
        format!(
            "  <add-on>\n    <add_on_products config:type=\"list\">\n      <listentry>\n        \
             <media_url>{}</media_url>\n        <product>source</product>\n      </listentry>\n    \
             </add_on_products>\n  </add-on>\n",
            escape(url)
        )
    });
    let device = answers
        .disk
        .as_ref()
        .map_or(String::new(), |disk| format!("      <device>/dev/{}</device>\n", escape(disk)));
    let (language, _) = answers.locale.split_once('.').unwrap_or((&answers.locale, ""));
    let text = format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE profile>\n\
         <profile xmlns=\"http://www.suse.com/1.0/yast2ns\" xmlns:config=\"http://www.suse.com/1.0/configns\">\n\
         \x20 <general>\n    <mode>\n      <confirm config:type=\"boolean\">false</confirm>\n    </mode>\n\
         \x20   <signature-handling>\n      \
         <accept_unsigned_file config:type=\"boolean\">true</accept_unsigned_file>\n      \
         <accept_file_without_checksum config:type=\"boolean\">true</accept_file_without_checksum>\n    \
         </signature-handling>\n  </general>\n{source}\
         \x20 <language>\n    <language>{language}</language>\n  </language>\n\
         \x20 <keyboard>\n    <keymap>{keymap}</keymap>\n  </keyboard>\n\
         \x20 <timezone>\n    <hwclock>UTC</hwclock>\n    <timezone>{zone}</timezone>\n  </timezone>\n\
         \x20 <partitioning config:type=\"list\">\n    <drive>\n{device}      <use>all</use>\n    </drive>\n  \
         </partitioning>\n\
         \x20 <networking>\n    <keep_install_network config:type=\"boolean\">false</keep_install_network>\n{network}  \
         </networking>\n\
         \x20 <software>\n{products}    <patterns config:type=\"list\">\n      <pattern>{pattern}</pattern>\n    \
         </patterns>\n    <packages config:type=\"list\">\n{packages}    </packages>\n  </software>\n\
         \x20 <users config:type=\"list\">\n{users}  </users>\n\
         \x20 <firewall>\n    <enable_firewall config:type=\"boolean\">false</enable_firewall>\n  </firewall>\n\
         \x20 <scripts>\n    <chroot-scripts config:type=\"list\">\n      <script>\n        \
         <chrooted config:type=\"boolean\">true</chrooted>\n        <interpreter>shell</interpreter>\n        \
         <filename>xenrt.sh</filename>\n        <source>{script}</source>\n      </script>\n    \
         </chroot-scripts>\n  </scripts>\n</profile>\n",
        language = escape(language),
        keymap = escape(keymap(&answers.keyboard)),
        zone = escape(&answers.timezone),
        network = network(answers),
        script = escape(finish(answers)),
    );
    Ok(vec![AnswerFile { name: "autoinst.xml", text }])
}

/// The script that is run in the installed system; sshd is not started by itself on all releases.
fn finish(answers: &Answers) -> String {
    format!("{}\nsystemctl enable sshd 2>/dev/null || chkconfig sshd on\n", answers.finish_script())
}

fn product(name: &str) -> String {
    format!(
        "    <products config:type=\"list\">\n      <product>{name}</product>\n    </products>\n"
    )
}

/// YaST's names of layouts are words of its own (keyboard, `keymap` of the guide).
fn keymap(layout: &str) -> &str {
    match layout {
        "us" => "english-us",
        "gb" | "uk" => "english-uk",
        "de" => "german",
        "fr" => "french",
        "es" => "spanish",
        "it" => "italian",
        other => other,
    }
}

fn network(answers: &Answers) -> String {
    let name = escape(&answers.host_name);
    match answers.addressing {
        Addressing::Dhcp => format!(
            "    <dns>\n      <hostname>{name}</hostname>\n    </dns>\n    \
             <interfaces config:type=\"list\">\n      <interface>\n        <device>eth0</device>\n        \
             <bootproto>dhcp</bootproto>\n        <startmode>auto</startmode>\n      </interface>\n    \
             </interfaces>\n"
        ),
        Addressing::Fixed { address, prefix, gateway, nameserver } => {
            let names = nameserver.map_or(String::new(), |server| {
                format!(
                    "      <nameservers config:type=\"list\">\n        <nameserver>{server}</nameserver>\n      \
                     </nameservers>\n"
                )
            });
            let mask = Addressing::netmask(prefix);
            format!(
                "    <dns>\n      <hostname>{name}</hostname>\n{names}    </dns>\n    \
                 <interfaces config:type=\"list\">\n      <interface>\n        <device>eth0</device>\n        \
                 <bootproto>static</bootproto>\n        <ipaddr>{address}</ipaddr>\n        \
                 <netmask>{mask}</netmask>\n        <startmode>auto</startmode>\n      </interface>\n    \
                 </interfaces>\n    <routing>\n      <routes config:type=\"list\">\n        <route>\n          \
                 <destination>default</destination>\n          <gateway>{gateway}</gateway>\n          \
                 <netmask>-</netmask>\n          <device>-</device>\n        </route>\n      </routes>\n    \
                 </routing>\n"
            )
        }
    }
}
