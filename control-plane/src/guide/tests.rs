//! Guides: what the build refuses, and what people read.

use super::*;

const WARNING: &str = "[[warnings]]\nid = \"charge\"\nalways = true\nas_of = \"2022-11\"\n\
                       ja = \"有料\"\nen = \"not free\"\n";
const STARS: &str = "[[warnings]]\nid = \"star_and_hash\"\nas_of = \"2022-11\"\n\
                     ja = \"記号\"\nen = \"signs\"\n";
const GUIDE: &str = "order = 1\nkind = \"auto_dial\"\nas_of = \"2022-11\"\nverified = true\n\
                     warnings = [\"charge\"]\n[name]\nja = \"会社\"\nen = \"Carrier\"\n\
                     [[steps]]\nja = \"{number_shown} へ\"\nen = \"To {number_shown}\"\n\
                     dial = \"1422{number}\"\n";

fn built(from: &str, to: &str) -> Result<Guide, String> {
    assert!(GUIDE.contains(from), "{from}");
    let known = read_warnings(&format!("{WARNING}{STARS}")).unwrap();
    read_guide("carrier", &GUIDE.replace(from, to), &known)
}

#[test]
fn a_sound_guide_is_read() {
    let guide = built("order = 1", "order = 1").unwrap();
    assert_eq!((guide.kind, guide.warnings.len()), (GuideKind::AutoDial, 1));
}

#[test]
fn the_build_refuses_a_broken_guide_with_a_sentence() {
    let table = [
        ("en = \"Carrier\"\n", "", "missing field `en`"),
        ("\"会社\"", "\" \"", "the text in ja is missing"),
        ("To {number_shown}", "To {numer}", "unknown placeholder"),
        ("To {number_shown}", "To you", "same placeholders"),
        ("1422{number}", "1422 {number}", "dial may hold"),
        ("1422{number}", "{number}{number}", "dial may hold"),
        ("1422{number}", "1422", "auto_dial is verified and dials {number} once"),
        ("1422{number}", "*61*{number}#", "star_and_hash"),
        ("\"2022-11\"", "\"2022-13\"", "yyyy-mm"),
        ("\"2022-11\"", "\"11/2022\"", "yyyy-mm"),
        ("[\"charge\"]", "[]", "charge must stand in every guide"),
        ("[\"charge\"]", "[\"charge\", \"x\"]", "no warning x"),
        ("auto_dial", "generic", "generic is not verified"),
        ("auto_dial", "magic", "magic"),
        ("order = 1", "order = 1\nmore = 2", "more"),
    ];
    for (from, to, said) in table {
        let refused = built(from, to).unwrap_err();
        assert!(refused.contains(said), "{to}: {refused}");
    }
    let known = read_warnings(WARNING).unwrap();
    assert!(read_guide("Car rier", GUIDE, &known).unwrap_err().contains("a-z"));
    assert!(read_warnings(&format!("{WARNING}{WARNING}")).unwrap_err().contains("twice"));
    assert!(read_warnings(&WARNING.replace("not free", "")).unwrap_err().contains("en"));
}

#[test]
fn s40_every_carrier_has_a_guide_in_both_languages() {
    let carriers: Vec<&str> = all().iter().map(|guide| guide.carrier.as_str()).collect();
    assert_eq!(carriers, ["docomo", "rakuten-au", "softbank", "rakuten", "other"]);
    let number = Some("+815012345678");
    for guide in all() {
        for language in [Language::Japanese, Language::English] {
            let told = |words: Words| words.told(language, number);
            let steps: Vec<String> = guide.steps.iter().map(|step| told(step.words())).collect();
            assert!(steps.iter().any(|step| step.contains("050-1234-5678")), "{}", guide.carrier);
            assert!(steps.iter().all(|step| !step.contains('{')), "{steps:?}");
        }
        assert_eq!(guide.verified, guide.kind != GuideKind::Generic, "{}", guide.carrier);
    }
}

/// S05–S06, S22–S24: charges, dialling prefixes, roaming, and the iPhone's 18 s, in every guide.
#[test]
fn every_guide_warns_of_charges_prefixes_roaming_and_live_voicemail() {
    for guide in all() {
        let told = |id: &str, language| {
            let warning = guide.warnings.iter().find(|warning| warning.id == id);
            warning
                .unwrap_or_else(|| panic!("{}: no {id}", guide.carrier))
                .words()
                .told(language, None)
        };
        let (ja, en) = (Language::Japanese, Language::English);
        let unit = crate::usage::UNIT_YEN_WITH_TAX;
        assert!(told("charge", ja).contains(&format!("{unit}円")), "S05, S22–S23");
        assert!(told("charge", en).contains(&format!("¥{unit}")), "S05, S22–S23");
        assert!(told("dialling_prefix", ja).contains("楽天でんわ"), "S24");
        assert!(told("roaming", ja).contains("海外ローミング"), "S06");
        assert!(told("live_voicemail", ja).contains("18秒"));
        assert!(told("live_voicemail", en).contains("18 seconds"));
    }
}

#[test]
fn s41_docomo_dials_1429_and_follows_the_voice() {
    let guide = find("docomo").unwrap();
    assert_eq!(guide.kind, GuideKind::VoiceGuidance);
    assert_eq!(guide.steps[0].dialled(None).as_deref(), Some("1429"));
    assert!(guide.steps[1].words().ja.contains("音声ガイダンス"));
}

/// S42–S46: choose the carrier, tap 「設定する」, the phone app opens, call, wait, done.
#[test]
fn s42_the_au_line_is_dialled_in_three_steps() {
    let guide = find("rakuten-au").unwrap();
    assert_eq!((guide.kind, guide.steps.len()), (GuideKind::AutoDial, 3));
    assert_eq!(guide.name.ja, "楽天モバイル au回線");
    assert!(guide.steps[0].words().ja.contains("「設定する」をタップ"));
    let dialled = guide.steps[0].dialled(Some("+815012345678")).unwrap();
    assert_eq!(tel_link(&dialled), "tel:142205012345678");
    assert_eq!(guide.steps[0].dialled(None), None, "it needs the number");
    assert!(guide.steps[2].words().ja.contains("自動的に電話が切れるまで"));
}

#[test]
fn s40_a_tel_link_survives_star_and_hash() {
    let step = &find("other").unwrap().steps[1];
    let dialled = step.dialled(Some("+815012345678")).unwrap();
    assert_eq!(dialled, "**61*05012345678**15#");
    let link = tel_link(&dialled);
    assert_eq!(link, "tel:%2A%2A61%2A05012345678%2A%2A15%23");
    let url = reqwest::Url::parse(&link).unwrap();
    assert_eq!((url.path(), url.fragment()), (link.trim_start_matches("tel:"), None));
}
