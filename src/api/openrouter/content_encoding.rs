//! Decodes compressed responses. Keywright asks for none, but a server or a proxy may send one
//! (RFC 9110 §12.5.3), and the response to an exchange is the only place where its key exists.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The first two bytes of every gzip stream (RFC 1952 §2.3.1); no JSON begins with them.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Returns the decoded body, at most `limit` bytes, and whether there was more. A body that ends
/// early is decoded as far as possible. `None` if the body is not encoded or cannot be decoded.
pub fn decode_body(content_encoding: &str, body: &[u8], limit: usize) -> Option<(Vec<u8>, bool)> {
    let mut codings: Vec<String> = content_encoding
        .split(',')
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !matches!(coding.as_str(), "" | "identity"))
        .collect();
    if codings.is_empty() && body.starts_with(GZIP_MAGIC) {
        codings.push("gzip".into());
    }
    let mut decoded: Option<(Vec<u8>, bool)> = None;
    // The last coding was applied last.
    for coding in codings.iter().rev() {
        let input = decoded.as_ref().map_or(body, |(bytes, _)| bytes.as_slice());
        let (bytes, truncated) = match coding.as_str() {
            "gzip" | "x-gzip" => read_up_to(MultiGzDecoder::new(input), limit),
            // The coding is zlib (RFC 9110 §8.4.1.2), but some servers send the bare stream.
            "deflate" => match read_up_to(ZlibDecoder::new(input), limit) {
                (bytes, _) if bytes.is_empty() => read_up_to(DeflateDecoder::new(input), limit),
                decoded => decoded,
            },
            _ => return None,
        };
        if bytes.is_empty() {
            return None;
        }
        decoded = Some((bytes, truncated));
    }
    decoded
}

fn read_up_to(decoder: impl Read, limit: usize) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut decoder = decoder.take(limit as u64 + 1);
    let mut buffer = [0; 8 * 1024];
    // After an error the bytes before it stay.
    while let Ok(count @ 1..) = decoder.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let truncated = bytes.len() > limit;
    bytes.truncate(limit);
    (bytes, truncated)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_documented_coding_is_decoded() {
        let body = br#"{"key":"k1"}"#;
        for (coding, encoded) in [
            ("gzip", gzip(body)),
            ("GZIP", gzip(body)),
            ("x-gzip", gzip(body)),
            ("", gzip(body)),
            ("identity", gzip(body)),
            ("deflate", zlib(body)),
            ("deflate", raw_deflate(body)),
            ("deflate, gzip", gzip(&zlib(body))),
        ] {
            assert_eq!(
                decode_body(coding, &encoded, 100),
                Some((body.to_vec(), false)),
                "{coding}"
            );
        }
        for (coding, encoded) in [
            ("", body.to_vec()),
            ("br", gzip(body)),
            ("gzip", body.to_vec()),
            ("deflate", b"<html>".to_vec()),
            ("gzip", Vec::new()),
        ] {
            assert_eq!(decode_body(coding, &encoded, 100), None, "{coding}");
        }
    }

    #[test]
    fn a_body_is_decoded_as_far_as_it_goes_and_never_beyond_the_limit() {
        let body = format!(r#"{{"key":"k1","pad":"{}"}}"#, "x".repeat(100));
        let encoded = gzip(body.as_bytes());
        let (decoded, _) = decode_body("gzip", &encoded[..encoded.len() - 9], 1000).unwrap();
        assert!(decoded.starts_with(br#"{"key":"k1","#));
        let bomb = gzip(&vec![b'a'; 10_000_000]);
        assert_eq!(decode_body("gzip", &bomb, 64), Some((vec![b'a'; 64], true)));
    }
}
