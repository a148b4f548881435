//! The bill of a month as the carrier reads it (S21): CSV and JSON. Pure: lines in, bytes out, the
//! same bytes for the same lines, before the month is closed and after.
//!
//! Bytes leave in parts, so that a bill of millions of lines needs little memory. CSV is RFC 4180
//! (CRLF, one header row, UTF-8) and holds numbers, ids and dates only; reasons of corrections,
//! which people wrote, are in the JSON.

use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::billing::{Adjustment, Line, Totals};
use crate::japan::Month;
use crate::money::TAX_PERCENT;
use crate::wording::time_utc;

/// How a bill is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// RFC 4180.
    Csv,
    /// One object with `lines` and `totals`.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Csv, Self::Json];

    /// Stable name for rows and file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    /// Media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
        }
    }
}

/// The columns of the CSV, in order.
const COLUMNS: [&str; 14] = [
    "month",
    "contract",
    "line",
    "kind",
    "status",
    "from",
    "until",
    "campaign_version",
    "fee_yen",
    "discount_yen",
    "adjustments_yen",
    "net_yen",
    "tax_yen",
    "total_yen",
];

/// The bill of a month.
#[derive(Serialize, ToSchema)]
pub(crate) struct Bill {
    /// The month in Japan, yyyy-mm.
    #[schema(example = "2026-07")]
    month: String,
    /// Always yen.
    #[schema(example = "JPY")]
    currency: &'static str,
    /// The consumption tax in percent; parts of a yen are dropped on each line.
    tax_percent: i64,
    /// A line for each contract that ran in the month or is corrected in it, by contract.
    lines: Vec<BillLine>,
    totals: BillTotals,
}

/// A contract's line on the bill of a month.
#[derive(Serialize, ToSchema)]
pub(crate) struct BillLine {
    /// The contract.
    #[schema(format = Uuid)]
    contract: String,
    /// The subscriber's own number in E.164.
    #[schema(example = "+819012345678")]
    line: String,
    /// `individual` or `corporate`.
    kind: String,
    /// `charged`, `free`, or `adjustment_only` when the contract did not run in the month.
    status: &'static str,
    /// First date in the month that the contract ran on, in Japan.
    #[schema(format = Date)]
    from: Option<String>,
    /// Last date in the month that the contract ran on, in Japan.
    #[schema(format = Date)]
    until: Option<String>,
    /// Version of the campaign that made it free.
    campaign_version: Option<i64>,
    /// The month's fee, without tax (S17).
    fee_yen: i64,
    /// What the campaign takes off, without tax.
    discount_yen: i64,
    /// Sum of the corrections, without tax.
    adjustments_yen: i64,
    /// Corrections of closed months, oldest first.
    adjustments: Vec<BillAdjustment>,
    /// To be charged, without tax; negative: to be paid back.
    net_yen: i64,
    /// The tax on `net_yen`.
    tax_yen: i64,
    /// To be charged, with tax.
    total_yen: i64,
}

/// A correction of a closed month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillAdjustment {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// The closed month that was wrong, yyyy-mm.
    for_month: String,
    /// Yen without tax; negative: a credit.
    net_yen: i64,
    /// Why.
    reason: String,
    /// When it was made. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Sums over the lines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillTotals {
    /// How many lines.
    lines: u64,
    /// Without tax.
    net_yen: i64,
    /// The lines' taxes.
    tax_yen: i64,
    /// With tax.
    total_yen: i64,
}

impl From<&Adjustment> for BillAdjustment {
    fn from(adjustment: &Adjustment) -> Self {
        let correction = &adjustment.correction;
        Self {
            id: adjustment.id.to_string(),
            for_month: correction.for_month.to_string(),
            net_yen: correction.net.get(),
            reason: correction.reason.clone(),
            created_at: time_utc(adjustment.created_at),
        }
    }
}

impl From<&Line> for BillLine {
    fn from(line: &Line) -> Self {
        let facts = &line.facts;
        Self {
            contract: facts.contract.to_string(),
            line: facts.line.reveal().clone(),
            kind: facts.kind.clone(),
            status: line.status.name(),
            from: line.ran.map(|(from, _)| from.to_string()),
            until: line.ran.map(|(_, until)| until.to_string()),
            campaign_version: line.campaign_version(),
            fee_yen: line.fee.get(),
            discount_yen: line.discount.get(),
            adjustments_yen: line.adjusted().get(),
            adjustments: line.adjustments.iter().map(Into::into).collect(),
            net_yen: line.net().get(),
            tax_yen: line.tax().get(),
            total_yen: line.total().get(),
        }
    }
}

impl From<Totals> for BillTotals {
    fn from(totals: Totals) -> Self {
        Self {
            lines: totals.lines,
            net_yen: totals.net.get(),
            tax_yen: totals.tax.get(),
            total_yen: totals.total.get(),
        }
    }
}

/// A finished export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The bytes behind the last part.
    pub rest: Vec<u8>,
    /// Length of all parts.
    pub bytes: u64,
    /// SHA-256 over all parts, in hex.
    pub sha256: String,
}

/// An export that is being written.
#[derive(Debug, Clone)]
pub struct Sheet {
    format: Format,
    month: Month,
    lines: u64,
    waiting: Vec<u8>,
    bytes: u64,
    hash: Sha256,
}

impl Sheet {
    /// Begins an export.
    pub fn new(format: Format, month: Month) -> Self {
        let mut sheet =
            Self { format, month, lines: 0, waiting: Vec::new(), bytes: 0, hash: Sha256::new() };
        match format {
            Format::Csv => sheet.row(&COLUMNS.map(str::to_owned)),
            Format::Json => {
                let head = format!(
                    "{{\"month\":\"{month}\",\"currency\":\"JPY\",\"tax_percent\":{TAX_PERCENT},\
                     \"lines\":["
                );
                sheet.waiting.extend_from_slice(head.as_bytes());
            }
        }
        sheet
    }

    /// Writes a line. Lines come in the order of their contracts.
    pub fn push(&mut self, line: &Line) {
        let written = BillLine::from(line);
        match self.format {
            Format::Csv => self.row(&columns(self.month, written)),
            Format::Json => {
                let before: &[u8] = if self.lines == 0 { b"\n" } else { b",\n" };
                self.waiting.extend_from_slice(before);
                self.json(&written);
            }
        }
        self.lines += 1;
    }

    /// Bytes that wait to be taken.
    pub const fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes what is written so far.
    pub fn take_part(&mut self) -> Vec<u8> {
        self.bytes += self.waiting.len() as u64;
        self.hash.update(&self.waiting);
        std::mem::take(&mut self.waiting)
    }

    /// Ends the export.
    pub fn finish(mut self, totals: Totals) -> Finished {
        if self.format == Format::Json {
            let before: &[u8] = if self.lines == 0 { b"],\"totals\":" } else { b"\n],\"totals\":" };
            self.waiting.extend_from_slice(before);
            self.json(&BillTotals::from(totals));
            self.waiting.extend_from_slice(b"}\n");
        }
        let rest = self.take_part();
        Finished { rest, bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) }
    }

    fn json(&mut self, value: &impl Serialize) {
        serde_json::to_writer(&mut self.waiting, value)
            .expect("strings and numbers are always JSON, and memory takes all bytes");
    }

    fn row(&mut self, fields: &[String]) {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .buffer_capacity(512)
            .from_writer(&mut self.waiting);
        writer
            .write_record(fields)
            .and_then(|()| Ok(writer.flush()?))
            .expect("every row has the same columns, and memory takes all bytes");
    }
}

fn columns(month: Month, line: BillLine) -> [String; COLUMNS.len()] {
    let yen = |yen: i64| yen.to_string();
    [
        month.to_string(),
        line.contract,
        line.line,
        line.kind,
        line.status.to_owned(),
        line.from.unwrap_or_default(),
        line.until.unwrap_or_default(),
        line.campaign_version.map(|version| version.to_string()).unwrap_or_default(),
        yen(line.fee_yen),
        yen(line.discount_yen),
        yen(line.adjustments_yen),
        yen(line.net_yen),
        yen(line.tax_yen),
        yen(line.total_yen),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::tests_support::{adjustment, facts};
    use crate::billing::{ContractFacts, line};
    use crate::japan::tests_support::{date, month};
    use crate::plan::SMART_VOICEMAIL;

    const AUGUST: &str = "2026-08";

    fn lines() -> Vec<Line> {
        let over =
            ContractFacts { ends_on: Some(date("2026-07-31")), ..facts(3, "2026-05-01", None) };
        let bill = |facts, adjustments| line(&SMART_VOICEMAIL, month(AUGUST), facts, adjustments);
        [
            bill(facts(1, "2026-07-25", Some("2026-07-31")), vec![adjustment(1, -145)]),
            bill(facts(2, "2026-08-25", Some("2026-08-31")), Vec::new()),
            bill(over, vec![adjustment(3, -290)]),
        ]
        .into_iter()
        .map(Option::unwrap)
        .collect()
    }

    fn written(format: Format, lines: &[Line], part_bytes: usize) -> (Vec<u8>, Finished) {
        let mut sheet = Sheet::new(format, month(AUGUST));
        let mut totals = Totals::default();
        let mut bytes = Vec::new();
        for line in lines {
            sheet.push(line);
            totals.add(line);
            if sheet.waiting() >= part_bytes {
                bytes.extend(sheet.take_part());
            }
        }
        let finished = sheet.finish(totals);
        bytes.extend_from_slice(&finished.rest);
        (bytes, finished)
    }

    #[test]
    fn s21_the_csv_has_a_line_for_each_contract() {
        let (csv, _) = written(Format::Csv, &lines(), usize::MAX);
        let expected = "month,contract,line,kind,status,from,until,campaign_version,fee_yen,\
            discount_yen,adjustments_yen,net_yen,tax_yen,total_yen\r\n\
            2026-08,00000000-0000-0000-0000-000000000001,+819000000001,individual,charged,\
            2026-08-01,2026-08-31,,290,0,-145,145,14,159\r\n\
            2026-08,00000000-0000-0000-0000-000000000002,+819000000002,individual,free,\
            2026-08-25,2026-08-31,1,290,290,0,0,0,0\r\n\
            2026-08,00000000-0000-0000-0000-000000000003,+819000000003,individual,\
            adjustment_only,,,,0,0,-290,-290,-29,-319\r\n";
        assert_eq!(String::from_utf8(csv).unwrap(), expected);
    }

    #[test]
    fn s21_the_json_has_the_same_lines_with_their_corrections() {
        let (json, _) = written(Format::Json, &lines(), usize::MAX);
        let bill: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&bill["month"], &bill["currency"]), (&AUGUST.into(), &"JPY".into()));
        assert_eq!(bill["totals"]["total_yen"], -160);
        let first = &bill["lines"][0];
        assert_eq!((&first["net_yen"], &first["tax_yen"]), (&145.into(), &14.into()));
        assert_eq!(first["adjustments"][0]["reason"], "二重に請求した");
        assert_eq!(first["adjustments"][0]["for_month"], "2026-07");
        assert_eq!(
            (&bill["lines"][1]["status"], &bill["totals"]["lines"]),
            (&"free".into(), &3.into())
        );
        let (empty, _) = written(Format::Json, &[], 0);
        let empty: serde_json::Value = serde_json::from_slice(&empty).unwrap();
        assert_eq!(empty["lines"], serde_json::json!([]));
    }

    #[test]
    fn s21_the_same_lines_give_the_same_bytes_however_they_are_parted() {
        for format in Format::ALL {
            let (whole, finished) = written(format, &lines(), usize::MAX);
            assert_eq!(finished.bytes, whole.len() as u64);
            assert_eq!(finished.sha256, hex::encode(Sha256::digest(&whole)));
            for part_bytes in [0, 1, 300, 700] {
                let (parted, again) = written(format, &lines(), part_bytes);
                assert_eq!((&parted, &again.sha256), (&whole, &finished.sha256));
            }
        }
    }
}
