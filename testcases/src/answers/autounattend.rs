//! The answer file of Windows setup since Vista (Microsoft, "Unattended Windows Setup Reference").

use quick_xml::escape::escape;
use xenrt::Error;

use super::{Addressing, AnswerFile, Answers};
use crate::systems::{Architecture, BootMethod, Commands, GuestSystem};

pub(super) fn files(answers: &Answers, system: &GuestSystem) -> Result<Vec<AnswerFile>, Error> {
    // Windows 2000, XP and Server 2003 have a file of another kind.
    let oldest = ["Windows 2000", "Windows XP", "Windows Server 2003"];
    if oldest.contains(&system.family.as_str()) {
        return Err(Error::invalid(
            format!("an answer file for {}", system.name),
            "its setup reads winnt.sif, which must be on the medium; make a guest from a ready image of it",
        ));
    }
    let architecture = match system.architectures.as_slice() {
        [Architecture::X86] => "x86",
        _ => "amd64",
    };
    let component = |name: &str, inside: &str| {
        format!(
            "    <component name=\"{name}\" processorArchitecture=\"{architecture}\" \
             publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\" versionScope=\"nonSxS\">\n{inside}    \
             </component>\n"
        )
    };
    let pass = |name: &str, components: String| {
        format!("  <settings pass=\"{name}\">\n{components}  </settings>\n")
    };
    let language = answers.locale.split('.').next().unwrap_or_default().replace('_', "-");
    let languages = format!(
        "      <InputLocale>{language}</InputLocale>\n      <SystemLocale>{language}</SystemLocale>\n      \
         <UILanguage>{language}</UILanguage>\n      <UserLocale>{language}</UserLocale>\n",
        language = escape(&language)
    );
    let setup_language = format!(
        "      <SetupUILanguage>\n        <UILanguage>{}</UILanguage>\n      </SetupUILanguage>\n{languages}",
        escape(&language)
    );
    let text = [
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <unattend xmlns=\"urn:schemas-microsoft-com:unattend\" \
         xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\">\n"
            .to_owned(),
        pass(
            "windowsPE",
            component("Microsoft-Windows-International-Core-WinPE", &setup_language)
                + &component("Microsoft-Windows-Setup", &setup(answers, system)),
        ),
        pass("specialize", {
            let name = format!(
                "      <ComputerName>{}</ComputerName>\n      <TimeZone>{}</TimeZone>\n",
                escape(&answers.host_name),
                escape(&answers.timezone)
            );
            component("Microsoft-Windows-Shell-Setup", &name) + &network(answers, system, component)
        }),
        pass(
            "oobeSystem",
            component("Microsoft-Windows-International-Core", &languages)
                + &component("Microsoft-Windows-Shell-Setup", &first_start(answers, system)),
        ),
        "</unattend>\n".to_owned(),
    ];
    Ok(vec![AnswerFile { name: "autounattend.xml", text: text.concat() }])
}

/// The type of a partition, its size in MiB where it is not the rest, its file system and label.
type Partition = (&'static str, Option<u32>, &'static str, &'static str);

/// Which disk, which image, which key.
fn setup(answers: &Answers, system: &GuestSystem) -> String {
    let uefi = system.boot == BootMethod::Uefi;
    // The sizes in MiB, and the order, are those of "UEFI/GPT-based" and "BIOS/MBR-based hard drive
    // partitions" there.
    let (partitions, windows): (&[Partition], u32) = if uefi {
        (
            &[
                ("EFI", Some(260), "FAT32", "System"),
                ("MSR", Some(16), "", ""),
                ("Primary", None, "NTFS", "Windows"),
            ],
            3,
        )
    } else {
        (&[("Primary", Some(350), "NTFS", "System"), ("Primary", None, "NTFS", "Windows")], 2)
    };
    let (mut create, mut modify) = (String::new(), String::new());
    for (order, (kind, size, format, label)) in (1..).zip(partitions) {
        let size =
            size.map_or("<Extend>true</Extend>".to_owned(), |size| format!("<Size>{size}</Size>"));
        create += &format!(
            "            <CreatePartition wcm:action=\"add\">\n              <Order>{order}</Order>\n              \
             <Type>{kind}</Type>\n              {size}\n            </CreatePartition>\n"
        );
        let mut set = String::new();
        if !format.is_empty() {
            set += &format!(
                "              <Format>{format}</Format>\n              <Label>{label}</Label>\n"
            );
        }
        if !uefi && order == 1 {
            set += "              <Active>true</Active>\n";
        }
        modify += &format!(
            "            <ModifyPartition wcm:action=\"add\">\n              <Order>{order}</Order>\n              \
             <PartitionID>{order}</PartitionID>\n{set}            </ModifyPartition>\n"
        );
    }
    // Setup asks for an image where the medium has several and nothing chooses.
    let image = match &answers.edition {
        None if answers.product_key.is_some() => String::new(),
        chosen => {
            let (key, value) = match chosen {
                Some(edition) => ("/IMAGE/NAME", escape(edition).into_owned()),
                None => ("/IMAGE/INDEX", "1".to_owned()),
            };
            format!(
                "          <InstallFrom>\n            <MetaData wcm:action=\"add\">\n              \
                 <Key>{key}</Key>\n              <Value>{value}</Value>\n            </MetaData>\n          \
                 </InstallFrom>\n"
            )
        }
    };
    let key = answers.product_key.as_ref().map_or(String::new(), |key| {
        format!(
            "        <ProductKey>\n          <Key>{}</Key>\n          <WillShowUI>OnError</WillShowUI>\n        \
             </ProductKey>\n",
            escape(key)
        )
    });
    format!(
        "      <DiskConfiguration>\n        <WillShowUI>OnError</WillShowUI>\n        \
         <Disk wcm:action=\"add\">\n          <DiskID>0</DiskID>\n          \
         <WillWipeDisk>true</WillWipeDisk>\n          <CreatePartitions>\n{create}          \
         </CreatePartitions>\n          <ModifyPartitions>\n{modify}          </ModifyPartitions>\n        \
         </Disk>\n      </DiskConfiguration>\n      <ImageInstall>\n        <OSImage>\n{image}          \
         <InstallTo>\n            <DiskID>0</DiskID>\n            <PartitionID>{windows}</PartitionID>\n          \
         </InstallTo>\n          <WillShowUI>OnError</WillShowUI>\n        </OSImage>\n      \
         </ImageInstall>\n      <UserData>\n        <AcceptEula>true</AcceptEula>\n{key}      </UserData>\n"
    )
}

/// A fixed address; DHCP is what Windows does by itself.
fn network(
    answers: &Answers,
    system: &GuestSystem,
    component: impl Fn(&str, &str) -> String,
) -> String {
    let Addressing::Fixed { address, prefix, gateway, nameserver } = answers.addressing else {
        return String::new();
    };
    // The name of the first interface was another one until Windows 7.
    let old = ["Windows Vista", "Windows 7", "Windows Server 2008", "Windows Server 2008 R2"];
    let name =
        if old.contains(&system.family.as_str()) { "Local Area Connection" } else { "Ethernet" };
    let tcpip = component(
        "Microsoft-Windows-TCPIP",
        &format!(
            "      <Interfaces>\n        <Interface wcm:action=\"add\">\n          \
             <Identifier>{name}</Identifier>\n          <Ipv4Settings>\n            \
             <DhcpEnabled>false</DhcpEnabled>\n          </Ipv4Settings>\n          <UnicastIpAddresses>\n            \
             <IpAddress wcm:action=\"add\" wcm:keyValue=\"1\">{address}/{prefix}</IpAddress>\n          \
             </UnicastIpAddresses>\n          <Routes>\n            <Route wcm:action=\"add\">\n              \
             <Identifier>1</Identifier>\n              <Prefix>0.0.0.0/0</Prefix>\n              \
             <NextHopAddress>{gateway}</NextHopAddress>\n            </Route>\n          </Routes>\n        \
             </Interface>\n      </Interfaces>\n"
        ),
    );
    let dns = nameserver.map_or(String::new(), |server| {
        component(
            "Microsoft-Windows-DNS-Client",
            &format!(
                "      <Interfaces>\n        <Interface wcm:action=\"add\">\n          \
                 <Identifier>{name}</Identifier>\n          <DNSServerSearchOrder>\n            \
                 <IpAddress wcm:action=\"add\" wcm:keyValue=\"1\">{server}</IpAddress>\n          \
                 </DNSServerSearchOrder>\n        </Interface>\n      </Interfaces>\n"
            ),
        )
    });
    tcpip + &dns
}

/// Accounts, no questions, and an ssh server where Windows has one.
fn first_start(answers: &Answers, system: &GuestSystem) -> String {
    let password = |element: &str, indent: &str| {
        format!(
            "{indent}<{element}>\n{indent}  <Value>{}</Value>\n{indent}  <PlainText>true</PlainText>\n{indent}</{element}>\n",
            escape(&answers.password)
        )
    };
    let local = answers.user.as_ref().map_or(String::new(), |user| {
        format!(
            "        <LocalAccounts>\n          <LocalAccount wcm:action=\"add\">\n{}            \
             <Group>Administrators</Group>\n            <Name>{}</Name>\n          </LocalAccount>\n        \
             </LocalAccounts>\n",
            password("Password", "            "),
            escape(user)
        )
    });
    let mut commands = Vec::new();
    if system.commands == Commands::Powershell {
        // A feature on demand since Windows 10 1809 and Server 2019; Server 2016 gets it from the lab's medium.
        if system.family != "Windows Server 2016" {
            commands
                .push("Add-WindowsCapability -Online -Name OpenSSH.Server~~~~0.0.1.0".to_owned());
        }
        commands.push("Set-Service sshd -StartupType Automatic; Start-Service sshd".to_owned());
        commands.push(
            "New-NetFirewallRule -Name xenrt-ssh -DisplayName ssh -Protocol TCP -LocalPort 22 -Direction Inbound \
             -Action Allow -ErrorAction SilentlyContinue"
                .to_owned(),
        );
        commands.push(
            "New-ItemProperty -Path HKLM:\\SOFTWARE\\OpenSSH -Name DefaultShell -Force \
             -Value C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
                .to_owned(),
        );
        if !answers.ssh_keys.is_empty() {
            // Keys of administrators are in a file of their own, which only they may write
            // (Microsoft, "Key-based authentication in OpenSSH for Windows").
            let file = "C:\\ProgramData\\ssh\\administrators_authorized_keys";
            for key in &answers.ssh_keys {
                commands.push(format!("Add-Content -Encoding ascii -Path {file} -Value '{key}'"));
            }
            commands.push(format!(
                "icacls {file} /inheritance:r /grant Administrators:F /grant SYSTEM:F"
            ));
        }
    }
    let commands: String = (1..)
        .zip(&commands)
        .map(|(order, command)| {
            let line = format!("powershell.exe -NoProfile -ExecutionPolicy Bypass -Command \"{command}\"");
            format!(
                "        <SynchronousCommand wcm:action=\"add\">\n          <Order>{order}</Order>\n          \
                 <CommandLine>{}</CommandLine>\n        </SynchronousCommand>\n",
                escape(&line)
            )
        })
        .collect();
    let commands = match commands.as_str() {
        "" => String::new(),
        all => format!("      <FirstLogonCommands>\n{all}      </FirstLogonCommands>\n"),
    };
    format!(
        "      <AutoLogon>\n        <Enabled>true</Enabled>\n        <LogonCount>1</LogonCount>\n        \
         <Username>Administrator</Username>\n{logon}      </AutoLogon>\n{commands}      <OOBE>\n        \
         <HideEULAPage>true</HideEULAPage>\n        <NetworkLocation>Work</NetworkLocation>\n        \
         <ProtectYourPC>3</ProtectYourPC>\n      </OOBE>\n      <UserAccounts>\n{administrator}{local}      \
         </UserAccounts>\n",
        logon = password("Password", "        "),
        administrator = password("AdministratorPassword", "        "),
    )
}
