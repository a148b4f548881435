//! Offers as phones and networks write them, and the answers they get.

use super::*;

const ORDER: [Codec; 4] = Codec::ALL;

fn local() -> Local {
    Local { rtp: "192.0.2.9:40000".parse().unwrap(), session: 7, version: 1 }
}

fn sdp(connection: &str, media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\n{connection}t=0 0\r\n{media}")
}

fn offered(media: &str) -> Remote {
    Remote::parse(sdp("c=IN IP4 198.51.100.1\r\n", media).as_bytes()).unwrap()
}

/// An independent reading of what we send.
fn independent(text: &str) -> sdp::SessionDescription {
    sdp::SessionDescription::unmarshal(&mut std::io::Cursor::new(text.as_bytes())).unwrap()
}

#[test]
fn codecs_are_chosen_in_our_order() {
    type Case = (&'static str, Codec, u8, Option<(u8, u32)>);
    let cases: [Case; 7] = [
        ("m=audio 5000 RTP/AVP 0\r\n", Codec::Pcmu, 0, None),
        ("m=audio 5000 RTP/AVP 8 0\r\n", Codec::Pcmu, 0, None),
        ("m=audio 5000 RTP/AVP 8\r\na=rtpmap:8 pcma/8000/1\r\n", Codec::Pcma, 8, None),
        (
            "m=audio 5000 RTP/AVP 0 9 101\r\na=rtpmap:101 telephone-event/8000\r\n",
            Codec::G722,
            9,
            Some((101, 8_000)),
        ),
        (
            "m=audio 5000 RTP/AVP 0 111 101 110\r\na=rtpmap:111 OPUS/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:110 telephone-event/48000\r\n",
            Codec::Opus,
            111,
            Some((110, 48_000)),
        ),
        (
            "m=audio 5000 RTP/AVPF 96 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n",
            Codec::Opus,
            96,
            Some((101, 8_000)),
        ),
        (
            "m=audio 5000 RTP/AVP 97 98\r\na=rtpmap:97 AMR-WB/16000\r\na=rtpmap:98 PCMU/8000\r\n",
            Codec::Pcmu,
            98,
            None,
        ),
    ];
    for (media, codec, payload_type, digits) in cases {
        let agreed = offered(media).choose(&ORDER).unwrap();
        assert_eq!(agreed, Agreed { codec, payload_type, digits }, "{media}");
    }
}

#[test]
fn offers_without_a_common_codec_are_refused() {
    for media in [
        "m=audio 5000 RTP/AVP 18\r\n",
        "m=audio 5000 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\n",
        "m=audio 5000 RTP/AVP 0\r\na=rtpmap:0 PCMU/16000\r\n",
        "m=audio 5000 RTP/AVP\r\n",
        "m=audio 5000 RTP/AVP 96\r\na=rtpmap:96\r\n",
        "m=audio 5000 RTP/AVP 128 -1 x\r\n",
    ] {
        if let Ok(remote) = Remote::parse(sdp("", media).as_bytes()) {
            assert_eq!(remote.choose(&ORDER), Err(SdpError::NoCommonCodec), "{media}");
        }
    }
    for media in [
        "",
        "m=audio 0 RTP/AVP 0\r\n",
        "m=video 5000 RTP/AVP 0\r\n",
        "m=audio 5000 RTP/SAVP 0\r\n",
        "m=audio 5000 TCP 0\r\n",
    ] {
        assert_eq!(Remote::parse(sdp("", media).as_bytes()), Err(SdpError::NoSound), "{media}");
    }
}

#[test]
fn answers_are_read_by_an_independent_parser() {
    let remote = offered(
        "m=audio 5000 RTP/AVP 111 0 101\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 usedtx=1;stereo=1\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\na=rtcp:5009\r\n",
    );
    let agreed = remote.choose(&ORDER).unwrap();
    let read = independent(&remote.answer(&agreed, &local()));
    assert_eq!(read.origin.session_id, 7);
    assert_eq!(read.origin.session_version, 1);
    let media = &read.media_descriptions[0];
    assert_eq!(media.media_name.port.value, 40_000);
    assert_eq!(media.media_name.formats, ["111", "101"]);
    let codec = read.get_codec_for_payload_type(111).unwrap();
    assert_eq!((codec.name.as_str(), codec.clock_rate), ("opus", 48_000));
    assert!(codec.fmtp.contains("useinbandfec=1") && codec.fmtp.contains("usedtx=1"));
    assert!(media.attribute("rtcp-mux").is_none(), "RTCP has its own port");
    assert!(media.attribute("sendrecv").is_some());
    assert_eq!(media.attribute("ptime").flatten(), Some("20"));
}

#[test]
fn other_media_are_refused_in_their_place() {
    let remote = offered(
        "m=video 6000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 5000 RTP/AVP 0\r\nm=audio 5002 RTP/AVP 8\r\nm=image 7000 udptl t38\r\n",
    );
    let agreed = remote.choose(&ORDER).unwrap();
    let read = independent(&remote.answer(&agreed, &local()));
    let lines: Vec<_> = read
        .media_descriptions
        .iter()
        .map(|m| (m.media_name.media.as_str(), m.media_name.port.value))
        .collect();
    assert_eq!(lines, [("video", 0), ("audio", 40_000), ("audio", 0), ("image", 0)]);
}

#[test]
fn directions_and_holds_are_understood() {
    let cases = [
        ("", "", true, true, "sendrecv"),
        ("a=sendonly\r\n", "", true, false, "recvonly"),
        ("a=recvonly\r\n", "", false, true, "sendonly"),
        ("a=inactive\r\n", "", false, false, "inactive"),
        ("", "a=sendonly\r\n", true, false, "recvonly"),
        ("a=sendrecv\r\n", "a=inactive\r\n", true, true, "sendrecv"),
    ];
    for (media, session, sends, receives, answered) in cases {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n{session}m=audio 5000 RTP/AVP 0\r\n{media}"
        );
        let remote = Remote::parse(text.as_bytes()).unwrap();
        assert_eq!((remote.change.sends, remote.change.receives), (sends, receives), "{text}");
        assert_eq!(remote.change.address, Some("198.51.100.1:5000".parse().unwrap()));
        let agreed = remote.choose(&ORDER).unwrap();
        let answer = remote.answer(&agreed, &local());
        assert!(answer.ends_with(&format!("a={answered}\r\n")), "{answer}");
    }
}

#[test]
fn the_zero_address_holds_and_is_answered_by_its_direction() {
    for (connection, media, answered) in [
        ("c=IN IP4 0.0.0.0\r\n", "", "sendrecv"),
        ("c=IN IP4 0.0.0.0\r\n", "a=sendonly\r\n", "recvonly"),
        ("c=IN IP4 0.0.0.0\r\n", "a=recvonly\r\n", "sendonly"),
        ("c=IN IP4 0.0.0.0\r\n", "a=inactive\r\n", "inactive"),
        ("c=IN IP6 ::\r\n", "", "sendrecv"),
        ("c=IN IP4 198.51.100.1\r\n", "c=IN IP4 0.0.0.0\r\n", "sendrecv"),
    ] {
        let text = sdp(connection, &format!("m=audio 5000 RTP/AVP 0\r\n{media}"));
        let remote = Remote::parse(text.as_bytes()).unwrap();
        let held = RemoteChange { address: None, sends: false, receives: false };
        assert_eq!(remote.change, held, "{text}");
        let answer = remote.answer(&remote.choose(&ORDER).unwrap(), &local());
        assert!(answer.ends_with(&format!("a={answered}\r\n")), "{answer}");
    }
}

#[test]
fn addresses_of_both_families_are_read() {
    let media = "m=audio 5000 RTP/AVP 0\r\n";
    let read = |connection: &str, media: &str| {
        Remote::parse(sdp(connection, media).as_bytes()).unwrap().change.address
    };
    assert_eq!(
        read("c=IN IP6 2001:db8::7\r\n", media),
        Some("[2001:db8::7]:5000".parse().unwrap())
    );
    let own = "m=audio 5000 RTP/AVP 0\r\nc=IN IP4 203.0.113.5\r\n";
    assert_eq!(read("c=IN IP4 198.51.100.1\r\n", own), Some("203.0.113.5:5000".parse().unwrap()));
    assert_eq!(read("c=IN IP4 phone.example\r\n", media), None);
    assert_eq!(read("c=IN IP4 233.252.0.1/127\r\n", media), None, "multicast is no caller");
    assert_eq!(read("", media), None);

    let six = Local { rtp: "[2001:db8::1]:40000".parse().unwrap(), ..local() };
    let remote = Remote::parse(sdp("c=IN IP6 2001:db8::7\r\n", media).as_bytes()).unwrap();
    let answer = remote.answer(&remote.choose(&ORDER).unwrap(), &six);
    assert!(answer.contains("c=IN IP6 2001:db8::1\r\n"));
    independent(&answer);
}

#[test]
fn lenient_where_phones_are_sloppy() {
    for text in [
        "v=0\no=- 1 1 IN IP4 1.2.3.4\ns=\nc=IN IP4 1.2.3.4\nt=0 0\nm=audio 5000 RTP/AVP 0\n",
        "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4 1.2.3.4\r\nm=audio 5000 RTP/AVP 0\r\n",
        "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=x\r\nt=0 0\r\na=x\r\nb=AS:64\r\nm=audio 5000 RTP/AVP 0\r\nc=IN IP4 1.2.3.4",
    ] {
        let remote = Remote::parse(text.as_bytes()).unwrap();
        assert_eq!(remote.change.address, Some("1.2.3.4:5000".parse().unwrap()), "{text}");
    }
}

#[test]
fn a_call_keeps_its_codec() {
    let agreed = offered("m=audio 5000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n")
        .choose(&ORDER)
        .unwrap();
    let same = offered(
        "m=audio 6000 RTP/AVP 9 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n",
    );
    assert_eq!(same.keeps(&agreed), Ok(agreed));
    assert_eq!(offered("m=audio 6000 RTP/AVP 0\r\n").keeps(&agreed).unwrap().digits, None);
    assert_eq!(offered("m=audio 6000 RTP/AVP 8\r\n").keeps(&agreed), Err(SdpError::CodecChanged));
}

#[test]
fn our_offer_names_one_codec() {
    let agreed = Agreed { codec: Codec::Pcmu, payload_type: 0, digits: Some((101, 8_000)) };
    let text = offer(&agreed, &local());
    let read = independent(&text);
    assert_eq!(read.media_descriptions[0].media_name.formats, ["0", "101"]);
    assert_eq!(Remote::parse(text.as_bytes()).unwrap().choose(&ORDER).unwrap(), agreed);
}

#[test]
fn sizes_are_read_up_to_the_limit() {
    let lines = |count: usize| "m=audio 5000 RTP/AVP 0\r\n".repeat(count);
    assert!(Remote::parse(sdp("", &lines(SDP_MEDIA_MAX)).as_bytes()).is_ok());
    assert!(matches!(
        Remote::parse(sdp("", &lines(SDP_MEDIA_MAX + 1)).as_bytes()),
        Err(SdpError::TooManyMedia { .. })
    ));
    let mut large = sdp("", &lines(1)).into_bytes();
    large.extend_from_slice(b"a=x:");
    large.resize(SDP_BYTES_MAX, b'x');
    assert!(Remote::parse(&large).is_ok());
    large.push(b'x');
    assert!(matches!(Remote::parse(&large), Err(SdpError::TooLarge { .. })));
}
