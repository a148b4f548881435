//! Everything that the API may refuse, as one table: status, stable code, title in both languages
//! (RFC 9457), and what to do in Japanese. Knows nothing of a single request.

use axum::http::StatusCode;

/// What is the same each time a kind of refusal is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// Stable name.
    pub(super) code: &'static str,
    /// The kind in English.
    pub(super) title: &'static str,
    /// The kind in Japanese.
    pub(super) title_ja: &'static str,
    /// What to do, in Japanese, where nothing more exact is known.
    pub(super) advice_ja: &'static str,
}

macro_rules! kinds {
    ($($name:ident $status:ident $code:literal $title:literal $title_ja:literal
        $advice_ja:literal;)*) => {
        /// What may be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($name,)*
        }

        impl Kind {
            /// Every kind.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// What the kind says each time.
            pub(super) const fn parts(self) -> Parts {
                match self {
                    $(Self::$name => Parts {
                        status: StatusCode::$status,
                        code: $code,
                        title: $title,
                        title_ja: $title_ja,
                        advice_ja: $advice_ja,
                    },)*
                }
            }
        }
    };
}

kinds! {
    MalformedBody BAD_REQUEST "malformed_body"
        "The body cannot be read" "本文を読み取れません"
        "本文は正しいJSONで送ってください。";
    MalformedPath BAD_REQUEST "malformed_path"
        "The path cannot be read" "パスを読み取れません"
        "パスの値を確かめてください。";
    MalformedQuery BAD_REQUEST "malformed_query"
        "The query cannot be read" "クエリーを読み取れません"
        "クエリーの値を確かめてください。";
    MalformedHeader BAD_REQUEST "malformed_header"
        "A header cannot be read" "ヘッダーを読み取れません"
        "ヘッダーの値を確かめてください。";
    NoKey UNAUTHORIZED "no_key"
        "An API key is needed" "APIキーが必要です"
        "ヘッダー Authorization: Bearer rsk_… を付けてください。";
    WrongKey UNAUTHORIZED "wrong_key"
        "The API key is unknown or revoked" "APIキーが無効です"
        "APIキーが正しくないか、取り消されています。新しいAPIキーを作成してください。";
    MissingScope FORBIDDEN "missing_scope"
        "The API key may not do this" "このAPIキーでは許可されていません"
        "必要なスコープを持つAPIキーを使ってください。";
    NoSession UNAUTHORIZED "no_session"
        "A session is needed" "ログインが必要です"
        "利用開始の手続きで受け取ったトークンを送ってください。";
    WrongSession UNAUTHORIZED "wrong_session"
        "The session is unknown or over" "ログインが無効です"
        "ログアウトしたか、端末の登録が無効です。もう一度利用開始の手続きをしてください。";
    NoSetup UNAUTHORIZED "no_setup"
        "A set-up is needed" "利用開始の手続きが必要です"
        "「利用開始」から手続きを始めてください。";
    WrongSetup UNAUTHORIZED "wrong_setup"
        "The set-up is unknown or over" "利用開始の手続きが無効です"
        "手続きの期限が切れたか、正しくありません。「利用開始」からやり直してください。";
    NotFound NOT_FOUND "not_found"
        "There is no such thing" "見つかりません"
        "指定されたものは存在しません。";
    MethodNotAllowed METHOD_NOT_ALLOWED "method_not_allowed"
        "This path does not take this method" "このメソッドは使えません"
        "使えるメソッドは /docs を見てください。";
    NumberTaken CONFLICT "number_taken"
        "The number already has a mailbox" "この番号は使用中です"
        "この050番号にはすでに留守番電話があります。";
    TooMany CONFLICT "too_many"
        "There are too many already" "数の上限に達しています"
        "不要なものを削除してから、もう一度お試しください。";
    ContractExists CONFLICT "contract_exists"
        "The line already has a contract" "この回線は契約済みです"
        "この回線にはすでにスマート留守番電話の契約があります。";
    CarrierVoicemailActive CONFLICT "carrier_voicemail_active"
        "The line has the carrier's own voicemail" "通信事業者の留守番電話が有効です"
        "両方は同時に使えません。先に通信事業者の留守番電話を解約してください。";
    MailboxOfContract CONFLICT "mailbox_of_contract"
        "The mailbox belongs to a contract" "契約に属する留守番電話です"
        "削除するには契約を解約してください。";
    TermsNotAccepted CONFLICT "terms_not_accepted"
        "The terms were not accepted" "利用規約に同意していません"
        "最新の利用規約に同意してください。";
    SerialUnknown NOT_FOUND "serial_unknown"
        "The serial number is unknown" "シリアル番号が見つかりません"
        "メールに書かれたシリアル番号を確かめてください。";
    SerialRedeemed CONFLICT "serial_redeemed"
        "The serial number was redeemed" "シリアル番号は使用済みです"
        "このシリアル番号はすでに使われています。「復元」からお進みください。";
    WrongStep CONFLICT "wrong_step"
        "The set-up asks for something else" "手続きの順番が違います"
        "画面の案内に従って、求められている手続きからお進みください。";
    CarrierContractExists CONFLICT "carrier_contract_exists"
        "There is a contract through the carrier" "通信事業者でのご契約があります"
        "この回線は通信事業者で契約済みです。購入せずに、利用開始の手続きをお進めください。";
    PurchaseNotOffered CONFLICT "purchase_not_offered"
        "Nothing can be purchased here" "ここでは購入できません"
        "アプリ内購入は別の販売者のサービスです。お申し込み済みの方は、メールに書かれたシリアル番号を入力してください。";
    CodeOver CONFLICT "code_over"
        "The code holds no longer" "認証コードは無効です"
        "認証コードの期限が切れたか、入力回数の上限に達しました。もう一度SMSを受け取ってください。";
    ChangedMeanwhile CONFLICT "changed_meanwhile"
        "Another change came between" "ほかの変更と重なりました"
        "同時に別の変更がありました。もう一度お試しください。";
    MonthNotOver CONFLICT "month_not_over"
        "The month is not over" "月が終わっていません"
        "この月はまだ締められません。";
    EarlierMonthOpen CONFLICT "earlier_month_open"
        "An earlier month is open" "前の月が締められていません"
        "月は順に締めてください。";
    BeforeFirstMonth CONFLICT "before_first_month"
        "Billing began later" "請求開始より前の月です"
        "請求が始まった月より前は締められません。";
    MonthOpen CONFLICT "month_open"
        "The month is still open" "月がまだ締められていません"
        "訂正できるのは締めた月だけです。";
    NotAcceptable NOT_ACCEPTABLE "not_acceptable"
        "No accepted format is offered" "求められた形式はありません"
        "text/csv か application/json を受け取れるようにしてください。";
    BlockedCallersFull CONFLICT "blocked_callers_full"
        "No more callers can be blocked" "着信拒否の上限に達しています"
        "登録済みの着信拒否をひとつ解除してから、もう一度お試しください。";
    PushEndpointsFull CONFLICT "push_endpoints_full"
        "Too many devices take push" "プッシュ通知の上限に達しています"
        "ほかの端末のプッシュ通知を解除してから、もう一度お試しください。";
    NotReady CONFLICT "not_ready"
        "This is not made yet" "まだできていません"
        "作成中です。しばらくしてからもう一度お試しください。";
    Gone GONE "gone"
        "This was deleted" "削除されました"
        "削除されたため、元に戻せません。";
    BodyTooLarge PAYLOAD_TOO_LARGE "body_too_large"
        "The body is too large" "本文が大きすぎます"
        "小さくしてから、もう一度送ってください。";
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported_media_type"
        "This path does not take this media type" "このメディアタイプは使えません"
        "Content-Type を確かめてください。";
    RepeatKeyReused UNPROCESSABLE_ENTITY "idempotency_key_reused"
        "The Idempotency-Key belongs to another request" "Idempotency-Keyは使用済みです"
        "別の内容の要求に使われたキーです。新しい要求には新しいキーを使ってください。";
    RangeNotSatisfiable RANGE_NOT_SATISFIABLE "range_not_satisfiable"
        "The range lies outside of the sound" "範囲が音声の外にあります"
        "音声の長さに収まる範囲を指定してください。";
    InvalidField UNPROCESSABLE_ENTITY "invalid_field"
        "A field cannot be so" "入力内容が正しくありません"
        "入力内容を確かめてください。";
    InvalidSound UNPROCESSABLE_ENTITY "invalid_sound"
        "The sound cannot be used" "この音声は使えません"
        "30秒以内のWAV、MP3、FLAC、Oggの音声を送ってください。";
    WrongCode UNPROCESSABLE_ENTITY "wrong_code"
        "The code is wrong" "認証コードが違います"
        "SMSに書かれた4桁の認証コードを確かめてください。";
    TooManyRequests TOO_MANY_REQUESTS "too_many_requests"
        "This comes too often" "回数が多すぎます"
        "しばらくしてから、もう一度お試しください。";
    Internal INTERNAL_SERVER_ERROR "internal"
        "The service failed" "サービスに問題が発生しました"
        "サービスに問題が発生しました。しばらくしてから、もう一度お試しください。";
    NoNumberFree SERVICE_UNAVAILABLE "no_number_free"
        "No 050 number is free" "050番号に空きがありません"
        "現在割り当てられる050番号がありません。しばらくしてから、もう一度お試しください。";
    Unavailable SERVICE_UNAVAILABLE "unavailable"
        "The service cannot do this now" "ただいま利用できません"
        "混み合っているか、一時的に利用できません。しばらくしてから、もう一度お試しください。";
}

impl Kind {
    /// Whether the kind's sentence says all, or what happened this time must stand beside it.
    pub(super) const fn says_all(self) -> bool {
        !matches!(
            self,
            Self::MalformedBody
                | Self::MalformedPath
                | Self::MalformedQuery
                | Self::MalformedHeader
                | Self::InvalidField
                | Self::InvalidSound
                | Self::MissingScope
                | Self::MonthNotOver
                | Self::EarlierMonthOpen
                | Self::BeforeFirstMonth
                | Self::MonthOpen
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Whether a text holds what only Japanese is written with: kana or kanji.
    fn is_japanese(text: &str) -> bool {
        text.contains(|c| matches!(c, 'ぁ'..='ヿ' | '一'..='鿿'))
    }

    #[test]
    fn every_kind_speaks_both_languages() {
        for kind in Kind::ALL {
            let parts = kind.parts();
            assert!(!parts.title.is_empty() && parts.title.is_ascii(), "{kind:?}");
            assert!(is_japanese(parts.title_ja) && !parts.title_ja.ends_with('。'), "{kind:?}");
            assert!(is_japanese(parts.advice_ja) && parts.advice_ja.ends_with('。'), "{kind:?}");
            assert!(parts.status.is_client_error() || parts.status.is_server_error(), "{kind:?}");
        }
    }

    #[test]
    fn no_two_kinds_share_a_code() {
        let codes: HashSet<_> = Kind::ALL.iter().map(|kind| kind.parts().code).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
    }
}
