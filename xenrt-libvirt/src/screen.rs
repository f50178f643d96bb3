//! What the screens of guests show.

use uuid::Uuid;
use virt::connect::Connect;
use virt::error::ErrorNumber;
use virt::stream::Stream;
use xenrt_core::Error;

use crate::connection::Failure;
use crate::error::not_understood;
use crate::observe;
use crate::xml::Element;

/// No picture of a screen is larger; libvirt sends 8 MiB for one of 1920 by 1440.
const MOST: usize = 64 << 20;

/// What the first screen of a domain shows, as a PNG; `None` where it has no domain, no screen, or
/// its driver shows none (virDomainScreenshot). Blocks.
pub(crate) fn take(connect: &Connect, uuid: Uuid) -> Result<Option<Vec<u8>>, Failure> {
    let domain = observe::find(connect, uuid)?;
    if !domain.is_active()? {
        return Ok(None);
    }
    let document = Element::parse(&domain.get_xml_desc(0)?)
        .map_err(|error| not_understood("the document of a domain", &error))?;
    let devices = document.child("devices");
    let is_test = document.attribute("type") == Some("test");
    if !is_test && devices.is_none_or(|devices| devices.child("video").is_none()) {
        return Ok(None);
    }
    let stream = Stream::new(connect, 0)?;
    let mime = match domain.screenshot(&stream, 0, 0) {
        Ok(mime) => mime,
        Err(error) if error.code() == ErrorNumber::NoSupport => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut picture = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.recv(&mut buffer)? {
            0 => break,
            got => picture.extend_from_slice(&buffer[..got]),
        }
        if picture.len() > MOST {
            stream.abort()?;
            let message = format!("a picture of over {MOST} bytes");
            return Err(unexpected(&mime, &message).into());
        }
    }
    stream.finish()?;
    Ok(Some(to_png(&mime, picture)?))
}

fn unexpected(mime: &str, found: &str) -> Error {
    Error::UnexpectedOutput {
        what: format!("the picture of a screen ({mime})"),
        expected: "a PNG, or a portable pixmap with 8 bits a colour".to_owned(),
        found: found.to_owned(),
    }
}

/// A picture as a PNG. QEMU writes portable pixmaps where it is older than 7.1 or libvirt does not
/// ask for anything else.
fn to_png(mime: &str, picture: Vec<u8>) -> Result<Vec<u8>, Error> {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    if picture.starts_with(SIGNATURE) {
        return Ok(picture);
    }
    let (width, height, pixels) =
        pixmap(&picture).ok_or_else(|| unexpected(mime, &format!("{} bytes", picture.len())))?;
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|error| unexpected(mime, &error.to_string()))?;
    Ok(png)
}

/// The width, the height and the pixels of a raw portable pixmap (ppm(5)); `None` for what is none
/// or not whole.
fn pixmap(picture: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut rest = picture.strip_prefix(b"P6")?;
    let mut numbers = [0u32; 3];
    for number in &mut numbers {
        loop {
            match rest.first()? {
                b'#' => {
                    let end = rest.iter().position(|byte| *byte == b'\n')?;
                    rest = rest.get(end..)?;
                }
                byte if byte.is_ascii_whitespace() => rest = rest.get(1..)?,
                _ => break,
            }
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        *number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        rest = rest.get(end..)?;
    }
    let [width, height, most] = numbers;
    let pixels = rest.get(1..)?;
    let size = u64::from(width).checked_mul(u64::from(height))?.checked_mul(3)?;
    let whole = size > 0 && most == 255 && pixels.len() as u64 == size;
    whole.then_some((width, height, pixels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixmaps_become_pngs_of_the_same_pixels() {
        let pixels = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 1, 2, 3, 4, 5, 6];
        let mut picture = b"P6\n# made by hand\n3 2\n255\n".to_vec();
        picture.extend(pixels);
        let png = to_png("image/x-portable-pixmap", picture).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut read = vec![0; 18];
        let info = reader.next_frame(&mut read).unwrap();
        assert_eq!((info.width, info.height), (3, 2));
        assert_eq!(read, pixels);
        assert_eq!(to_png("image/png", png.clone()).unwrap(), png);
    }

    #[test]
    fn what_is_no_whole_picture_is_told() {
        let wrong: [&[u8]; 6] = [
            b"",
            b"P6",
            b"P6 3 2 255\n123",
            b"P6 1 1 65535\n123456",
            b"P6 0 0 255\n",
            b"P6 99999999999 1 255\nabc",
        ];
        for picture in wrong {
            let error = to_png("image/x-portable-pixmap", picture.to_vec()).unwrap_err();
            assert!(error.to_string().contains("the picture of a screen"), "{error}");
        }
    }
}
