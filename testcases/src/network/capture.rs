//! What really crossed an interface: a capture with tcpdump, read frame by frame.

use std::sync::Arc;
use std::time::Duration;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpOptionElement, TcpSlice, TransportSlice};
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{LegacyPcapReader, PcapBlockOwned, PcapError};
use xenrt::model::Undo;
use xenrt::prelude::*;
use xenrt::remote::{Process, ProcessLine};

/// One captured frame, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sender's hardware address.
    pub source: MacAddress,
    /// The length on the interface in bytes, Ethernet header included. With segmentation offload
    /// this is the length of what the driver was given, not of what a wire would carry.
    pub length: u32,
    /// What is in it.
    pub content: Content,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A TCP segment.
    Tcp {
        /// The port that it goes to.
        destination_port: u16,
        /// The maximum segment size that it announces, if it is a SYN that does.
        announced_mss: Option<u16>,
    },
    /// A part of a fragmented IP packet.
    IpFragment,
    /// Another IP packet.
    OtherIp,
    /// Anything else (ARP, ...).
    Other,
}

/// A running capture on an interface of the control domain. Stopped when it is dropped.
#[derive(Debug)]
pub struct Capture {
    shell: Arc<dyn Shell>,
    process: Process,
    file: String,
}

/// How much of each frame is kept: Ethernet, IP and TCP headers with all their options.
const SNAP_LENGTH: &str = "160";

impl Capture {
    /// Starts a capture of what matches `filter` (pcap-filter(7)) on `interface`, and returns when
    /// it is listening. The file is in `/tmp` of the control domain until the clean-up of the test.
    ///
    /// # Errors
    /// When tcpdump is missing, does not accept the interface or the filter, or does not begin to
    /// listen within 30 s.
    pub async fn start(
        cx: &TestContext,
        shell: Arc<dyn Shell>,
        interface: &str,
        filter: &str,
    ) -> Result<Self> {
        let file = shell.text(&Command::new("mktemp").arg("/tmp/xenrt-capture-XXXXXX")).await?;
        let (dom0, left) = (Arc::clone(&shell), file.clone());
        cx.on_cleanup(Undo::new(format!("remove {file}"), move || async move {
            dom0.run(&Command::new("rm").args(["-f", &left])).await?;
            Ok(())
        }));
        let tcpdump = Command::new("tcpdump")
            // As root, and with every packet written out: the file is complete when it stops.
            .args(["-Z", "root", "-U", "-n", "-s", SNAP_LENGTH, "-B", "16384"])
            .args(["-i", interface, "-w", &file, filter])
            .deadline(Duration::from_secs(900));
        let process = shell.start(&tcpdump).await?;
        let listening = async {
            let mut said = Vec::new();
            while let Some(line) = process.next_line().await {
                let (ProcessLine::Stdout(line) | ProcessLine::Stderr(line)) = line;
                if line.contains("listening on") {
                    return Ok(());
                }
                said.push(line);
            }
            Err(TestError::infrastructure(format!("tcpdump ended at once: {}", said.join("; "))))
        };
        match tokio::time::timeout(Duration::from_secs(30), listening).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(TestError::infrastructure("tcpdump did not begin to listen in 30 s"));
            }
        }
        Ok(Self { shell, process, file })
    }

    /// Stops it and fetches the file, which the clean-up of the test removes over there.
    ///
    /// # Errors
    /// When the connection is lost or the file is not a capture.
    pub async fn stop(self) -> Result<(Vec<u8>, Vec<Frame>)> {
        self.process.stop().await?;
        let bytes = self.shell.read_file(&self.file).await?;
        let frames = read_frames(&bytes)?;
        Ok((bytes, frames))
    }
}

/// The frames of a capture file (pcap-savefile(5), link type Ethernet). A last record that was cut
/// off is left out: the capture was stopped while it wrote.
///
/// # Errors
/// When it is not a capture file of that form.
pub fn read_frames(bytes: &[u8]) -> Result<Vec<Frame>> {
    let mut frames = Vec::new();
    if bytes.is_empty() {
        return Ok(frames);
    }
    let mut reader = LegacyPcapReader::new(bytes.len().max(65_536), bytes)
        .map_err(|error| TestError::infrastructure(format!("not a capture file: {error:?}")))?;
    loop {
        match reader.next() {
            Ok((used, block)) => {
                if let PcapBlockOwned::Legacy(packet) = block {
                    frames.extend(frame(packet.origlen, packet.data));
                }
                reader.consume(used);
            }
            Err(PcapError::Eof | PcapError::Incomplete(_) | PcapError::UnexpectedEof) => {
                return Ok(frames);
            }
            Err(error) => {
                let message = format!("the capture cannot be read: {error:?}");
                return Err(TestError::infrastructure(message));
            }
        }
    }
}

/// `None` for a frame that is too short for an Ethernet header. Frames are cut short by the
/// capture, so their headers are judged as far as they are there.
fn frame(length: u32, kept: &[u8]) -> Option<Frame> {
    let source: [u8; 6] = kept.get(6..12)?.try_into().ok()?;
    let packet = LaxSlicedPacket::from_ethernet(kept).ok()?;
    let content = match (&packet.net, &packet.transport) {
        (Some(LaxNetSlice::Ipv4(ip)), _) if ip.header().is_fragmenting_payload() => {
            Content::IpFragment
        }
        (_, Some(TransportSlice::Tcp(tcp))) => tcp_content(tcp),
        (Some(LaxNetSlice::Ipv4(_) | LaxNetSlice::Ipv6(_)), _) => Content::OtherIp,
        _ => Content::Other,
    };
    Some(Frame { source: MacAddress::new(source), length, content })
}

fn tcp_content(tcp: &TcpSlice<'_>) -> Content {
    let announced_mss = tcp.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(size)) => Some(size),
        _ => None,
    });
    Content::Tcp { destination_port: tcp.destination_port(), announced_mss }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const GUEST: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];

    /// A capture file of these frames, each with its whole length and the part that was kept.
    fn capture_file(frames: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 160, 1] {
            file.extend(word.to_le_bytes());
        }
        for (length, kept) in frames {
            for word in [0, 0, kept.len() as u32, *length] {
                file.extend(word.to_le_bytes());
            }
            file.extend(kept);
        }
        file
    }

    fn syn(mss: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(GUEST, [2; 6])
            .ipv4([10, 0, 2, 101], [10, 0, 2, 15], 64)
            .tcp(40_000, 5001, 1, 65_535)
            .syn()
            .options(&[TcpOptionElement::MaximumSegmentSize(mss)])
            .unwrap()
            .write(&mut frame, &[])
            .unwrap();
        frame
    }

    #[test]
    fn a_syn_tells_its_mss_and_a_long_frame_its_whole_length() {
        let mut data = syn(0);
        data.truncate(60);
        let frames = read_frames(&capture_file(&[(58, syn(60)), (65_226, data)])).unwrap();
        assert_eq!(frames[0].source, MacAddress::new(GUEST));
        assert_eq!(
            frames[0].content,
            Content::Tcp { destination_port: 5001, announced_mss: Some(60) }
        );
        assert_eq!(frames[1].length, 65_226);
    }

    #[test]
    fn a_capture_that_was_cut_off_gives_what_is_whole() {
        let mut file = capture_file(&[(58, syn(60)), (58, syn(60))]);
        file.truncate(file.len() - 10);
        assert_eq!(read_frames(&file).unwrap().len(), 1);
        assert!(read_frames(b"tcpdump: no such device, sorry about that").is_err());
        assert_eq!(read_frames(b"").unwrap(), []);
    }
}
