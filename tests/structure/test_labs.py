"Laboratory results in many layouts, ways to write them, and what only looks like one."

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structure_texts import relaxed, texts

from medllm_nb.core import lab_tests
from medllm_nb.structure.lab_values import flag_of
from medllm_nb.structure.labs import find_labs


@relaxed
@given(texts)
def test_labs_do_not_overlap_and_are_found_again_alone(text):
    labs = find_labs(text)
    assert all(a.end <= b.start for a, b in zip(labs, labs[1:]))
    assert all(
        l.flag == flag_of(l.value, l.low, l.high, l.sign) for l in labs if l.low is not None or l.high is not None
    )


@st.composite
def lab_rows(draw):
    test = draw(st.sampled_from(sorted(lab_tests().values(), key=lambda t: t.name)))
    name = draw(st.sampled_from([test.name, *test.aliases]))
    low = draw(st.integers(1, 80)) / 10
    high = round(low + draw(st.integers(1, 900)) / 10, 1)
    value = draw(st.integers(1, 2000)) / 10
    unit = test.unit
    h = draw(st.sampled_from(["", "H", "L"])) if not unit.endswith("%") else ""
    layout = draw(
        st.sampled_from(
            [
                "{n}    {v}   {u}   {l}-{h}   {f}",
                "{n}: {v} {u} ({l}-{h})",
                "{n}: {v} {u} [{l} - {h}]",
                "| {n} | {v} | {u} | {l}-{h} | {f} |",
                "{n}\t{v}\t{f}\t{u}\t{l}-{h}",
                "{n} {v} {u} Ref {l}-{h}",
                "{n} {v} {u} (ref: {l} to {h})",
                "{n} ..... {v} {u} ({l}-{h})",
                "{n} was {v} {u} (reference {l}-{h}).",
                "{n} of {v} {u} (normal range {l}-{h}).",
                "{n}\n{v}\n{u}\n{l}-{h}\n{f}",
                "{n};{v} {u} ({l}–{h})",
                "{n} = {v} {u} (reference range {l} - {h} {u})",
            ]
        )
    )
    return test.name, value, low, high, layout.format(n=name, v=value, u=unit, l=low, h=high, f=h)


@settings(max_examples=200, deadline=None)
@given(st.lists(lab_rows(), min_size=1, max_size=4, unique_by=lambda r: r[0]))
def test_lab_rows_of_many_layouts_are_read(rows):
    text = "LABORATORY RESULTS\n" + "\n".join(r[-1] for r in rows)
    found = {l.name: l for l in find_labs(text)}
    for name, value, low, high, _ in rows:
        lab = found[name]
        assert (lab.value, lab.low, lab.high) == (value, low, high), text
        assert lab.flag == flag_of(value, low, high)
        assert str(value) in text[lab.start : lab.end]
    assert len(found) == len(rows)


@relaxed
@given(st.sampled_from([t for t in lab_tests().values() if t.unit]), st.integers(0, 3000))
def test_default_range_is_used_with_the_tests_own_unit_only(test, tenths):
    value = tenths / 10
    (lab,) = find_labs(f"{test.name}: {value} {test.unit}")
    assert (lab.flag, lab.low) == (flag_of(value, test.low, test.high), None)
    assert all(l.flag == "unknown" for l in find_labs(f"{test.name}: {value} nmol/L"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Give potassium chloride 20 mEq daily", id="Give_potassium_chloride_20_mEq_daily"),
        pytest.param("Vitamin B12 1000 mcg IM", id="Vitamin_B12_1000_mcg_IM"),
        pytest.param("Iron 325 mg twice daily", id="Iron_325_mg_twice_daily"),
        pytest.param("INR goal 2-3", id="INR_goal_2-3"),
        pytest.param("target LDL below 70", id="target_LDL_below_70"),
        pytest.param("BP 120/80, HR 88, SpO2 98%", id="BP_120/80_HR_88_SpO2_98%"),
        pytest.param("K-wire 1.6 mm", id="K-wire_1.6_mm"),
        pytest.param("Urine sodium 20 mmol/L", id="Urine_sodium_20_mmol/L"),
        pytest.param("CSF glucose 60 mg/dL", id="CSF_glucose_60_mg/dL"),
        pytest.param("Direct bilirubin 0.9 mg/dL (0-0.3)", id="Direct_bilirubin_0.9_mg/dL_0-0.3"),
        pytest.param("HDL cholesterol 44 mg/dL (40-60)", id="HDL_cholesterol_44_mg/dL_40-60"),
        pytest.param("Free T3 3.1 pg/mL (2.0-4.4)", id="Free_T3_3.1_pg/mL_2.0-4.4"),
        pytest.param("CA 125 35 U/mL", id="CA_125_35_U/mL"),
        pytest.param("Hemoglobin 03/04/2021", id="Hemoglobin_03/04/2021"),
        pytest.param("sodium bicarbonate 650 mg", id="sodium_bicarbonate_650_mg"),
        pytest.param("If potassium 6 or more, call", id="If_potassium_6_or_more_call"),
        pytest.param("INR in 2 weeks", id="INR_in_2_weeks"),
        pytest.param("Troponin T 14 ng/L (0-14)", id="Troponin_T_14_ng/L_0-14"),
        pytest.param("Creatine kinase 150 U/L (30-200)", id="Creatine_kinase_150_U/L_30-200"),
        pytest.param("Lactate dehydrogenase 180 U/L (120-250)", id="Lactate_dehydrogenase_180_U/L_120-250"),
    ],
)
def test_what_is_no_result_is_left_alone(text):
    assert find_labs(text) == []


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        pytest.param("Potasslum   5.9  mmol/L (3.5-5.1)", "Potassium", 5.9, id="Potasslum_5.9_mmol/L_3.5-5.1"),
        pytest.param("Hemog1obin  l3.5 g/dL  (12.0-17.0)", "Hemoglobin", 13.5, id="Hemog1obin_l3.5_g/dL_12.0-17.0"),
        pytest.param("Creatinine  O.8 mg/dL (0.6-1.3)", "Creatinine", 0.8, id="Creatinine_O.8_mg/dL_0.6-1.3"),
        pytest.param("P1atelets | 9O | 10^9/L | 150-400", "Platelets", 90, id="P1atelets_9O_10_9/L_150-400"),
        pytest.param("Calcium 9,1 mg/dL (8,6-10,3)", "Calcium", 9.1, id="Calcium_9_1_mg/dL_8_6-10_3"),
        pytest.param("Sodlum    131 mmol/L  135-145", "Sodium", 131, id="Sodlum_131_mmol/L_135-145"),
    ],
)
def test_ocr_slips_are_read(written, name, value):
    assert [(l.name, l.value) for l in find_labs(written)] == [(name, value)]


def one_lab(text):
    (lab,) = find_labs(text)
    return lab


@pytest.mark.parametrize(
    ("text", "sign", "flag", "critical"),
    [
        pytest.param("CRP <10 mg/L", "<", "unknown", False, id="CRP_<10_mg/L"),
        pytest.param("Troponin I <40 ng/L", "<", "unknown", False, id="Troponin_I_<40_ng/L"),
        pytest.param("D-dimer <600 ng/mL", "<", "unknown", False, id="D-dimer_<600_ng/mL"),
        pytest.param("TSH <5 mIU/L", "<", "unknown", False, id="TSH_<5_mIU/L"),
        pytest.param("TSH <0.01 mIU/L", "<", "low", False, id="TSH_<0.01_mIU/L"),
        pytest.param("CRP <5 mg/L", "<", "normal", False, id="CRP_<5_mg/L"),
        pytest.param("CRP <10 mg/L (0-5)", "<", "unknown", False, id="CRP_<10_mg/L_0-5"),
        pytest.param("Potassium <2 mmol/L", "<", "low", True, id="Potassium_<2_mmol/L"),
        pytest.param("Potassium >10 mmol/L", ">", "high", True, id="Potassium_>10_mmol/L"),
        pytest.param("Potassium >2 mmol/L", ">", "unknown", False, id="Potassium_>2_mmol/L"),
        pytest.param("Total bilirubin <20 mg/dL", "<", "unknown", False, id="Total_bilirubin_<20_mg/dL"),
    ],
)
def test_a_detection_limit_keeps_its_sign_and_claims_no_more_than_it_says(text, sign, flag, critical):
    lab = one_lab(text)
    assert (lab.sign, lab.flag, lab.critical) == (sign, flag, critical)


@pytest.mark.parametrize(
    ("text", "value", "flag", "critical"),
    [
        pytest.param("Calcium 4.5 mEq/L", 4.5, "normal", False, id="Calcium_4.5_mEq/L"),
        pytest.param("Magnesium 1.5 mEq/L", 1.5, "normal", False, id="Magnesium_1.5_mEq/L"),
        pytest.param("Calcium 9 mEq/L", 9, "high", True, id="Calcium_9_mEq/L"),
        pytest.param("Phosphate 1.8 mEq/L", 1.8, "unknown", False, id="Phosphate_1.8_mEq/L"),
        pytest.param("Potassium 6.9 mEq/L", 6.9, "high", True, id="Potassium_6.9_mEq/L"),
        pytest.param("WBC 1,200/uL", 1200, "low", True, id="WBC_1_200/uL"),
        pytest.param("Platelets 15,000/mm3", 15000, "low", True, id="Platelets_15_000/mm3"),
        pytest.param("Platelets 250,000/µL", 250000, "normal", False, id="Platelets_250_000/_L"),
        pytest.param("Glucose 5.5 mmol/L", 5.5, "normal", False, id="Glucose_5.5_mmol/L"),
        pytest.param("Glucose 5.6 mmol/L", 5.6, "high", False, id="Glucose_5.6_mmol/L"),
        pytest.param("Hemoglobin 119 g/L", 119, "low", False, id="Hemoglobin_119_g/L"),
        pytest.param("INR 9.0", 9, "high", True, id="INR_9.0"),
        pytest.param("INR 3.0", 3, "high", False, id="INR_3.0"),
        pytest.param("Potassium (mmol/L): 6.9", 6.9, "high", True, id="Potassium_mmol/L_6.9"),
        pytest.param("Potassium [mmol/L] 6.9", 6.9, "high", True, id="Potassium_mmol/L_6.9_2"),
        pytest.param("Potassium, mmol/L | 6.9 | 3.5-5.1 | H", 6.9, "high", True, id="Potassium_mmol/L_6.9_3.5-5.1_H"),
        pytest.param("Potassium mmol/L 6.9 3.5-5.1", 6.9, "high", True, id="Potassium_mmol/L_6.9_3.5-5.1"),
        pytest.param("Sodium was low, at 119 mmol/L", 119, "low", True, id="Sodium_was_low_at_119_mmol/L"),
        pytest.param("Potassium elevated (6.9 mmol/L)", 6.9, "high", True, id="Potassium_elevated_6.9_mmol/L"),
        pytest.param("Potassium climbed to 6.9 mmol/L", 6.9, "high", True, id="Potassium_climbed_to_6.9_mmol/L"),
        pytest.param("Potassium fell to 2.1 mmol/L", 2.1, "low", True, id="Potassium_fell_to_2.1_mmol/L"),
        pytest.param(
            "Hemoglobin dropped from 12 to 6.1 g/dL", 6.1, "low", True, id="Hemoglobin_dropped_from_12_to_6.1_g/dL"
        ),
        pytest.param(
            "Hemoglobin has dropped from 12.1 g/dL to 6.1 g/dL",
            6.1,
            "low",
            True,
            id="Hemoglobin_has_dropped_from_12.1_g/dL_to_6.1_g/d",
        ),
        pytest.param("Hb 8·2 g/dL", 8.2, "low", False, id="Hb_8_2_g/dL"),
        pytest.param("Potassium at 0800 was 5.9 mmol/L", 5.9, "high", False, id="Potassium_at_0800_was_5.9_mmol/L"),
        pytest.param("Potassium at 8 am: 5.9 mmol/L", 5.9, "high", False, id="Potassium_at_8_am_5.9_mmol/L"),
        pytest.param("NT-proBNP at 1200 pg/mL", 1200, "high", False, id="NT-proBNP_at_1200_pg/mL"),
        pytest.param("Potassium was not elevated at 4.2", 4.2, "normal", False, id="Potassium_was_not_elevated_at_4.2"),
        pytest.param(
            "Potassium was not elevated at 4.2 mmol/L",
            4.2,
            "normal",
            False,
            id="Potassium_was_not_elevated_at_4.2_mmol/L",
        ),
        pytest.param(
            "Potassium was within normal limits at 4.0",
            4.0,
            "normal",
            False,
            id="Potassium_was_within_normal_limits_at_4.0",
        ),
    ],
)
def test_value_flag_and_alarm_of_many_ways_to_write_a_lab(text, value, flag, critical):
    lab = one_lab(text)
    assert (lab.value, lab.flag, lab.critical) == (value, flag, critical)


def test_limits_in_two_columns_are_the_printed_range():
    for row in (
        "Sodium | 131 | mmol/L | 135 | 145",
        "| Sodium | 131 | L | mmol/L | 135 | 145 |",
        "Sodium\t131\tmmol/L\t135\t145",
    ):
        lab = one_lab(row)
        assert (lab.value, lab.low, lab.high, lab.flag) == (131, 135, 145, "low"), row
    assert one_lab("Sodium | 131 | 129 | 138").low is None  # yesterday's and the day before's


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("LDL < 70 mg/dL goal", id="LDL_<_70_mg/dL_goal"),
        pytest.param("transfuse for Hgb <7 g/dL", id="transfuse_for_Hgb_<7_g/dL"),
        pytest.param("goal: Hgb >7 g/dL", id="goal_Hgb_>7_g/dL"),
        pytest.param("Urinalysis: glucose 1000 mg/dL", id="Urinalysis_glucose_1000_mg/dL"),
        pytest.param("Urine dipstick: glucose 500 mg/dL", id="Urine_dipstick_glucose_500_mg/dL"),
        pytest.param("CSF: glucose 60", id="CSF_glucose_60"),
        pytest.param("Glucose (urine) 500 mg/dL", id="Glucose_urine_500_mg/dL"),
        pytest.param("Calcium 1.1 mmol/L ionized", id="Calcium_1.1_mmol/L_ionized"),
        pytest.param("Calcium (ionized) 1.1 mmol/L", id="Calcium_ionized_1.1_mmol/L"),
        pytest.param("LDL (<100 mg/dL)", id="LDL_<100_mg/dL"),
        pytest.param("Potassium at 0800", id="Potassium_at_0800"),
    ],
)
def test_goals_thresholds_other_fluids_and_ionized_calcium_are_no_result(text):
    assert find_labs(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("INR 2.5, goal 2-3", 2.5, id="INR_2.5_goal_2-3"),
        pytest.param("Bilirubin 3.2 mg/dL, direct 1.1", 3.2, id="Bilirubin_3.2_mg/dL_direct_1.1"),
        pytest.param("admitted for potassium 6.9 mmol/L", 6.9, id="admitted_for_potassium_6.9_mmol/L"),
        pytest.param("UA negative. Glucose 500 mg/dL", 500, id="UA_negative._Glucose_500_mg/dL"),
        pytest.param("UA clean, serum glucose 500 mg/dL", 500, id="UA_clean_serum_glucose_500_mg/dL"),
        pytest.param("Urine output 30 mL/h, potassium 6.9 mmol/L", 6.9, id="Urine_output_30_mL/h_potassium_6.9_mmol/L"),
        pytest.param(
            "Urine toxicology negative, potassium 6.9 mmol/L", 6.9, id="Urine_toxicology_negative_potassium_6.9_mmol/L"
        ),
        pytest.param(
            "Dark urine.,LABORATORY EXAM:, creatinine of 2.38",
            2.38,
            id="Dark_urine._LABORATORY_EXAM_creatinine_of_2.38",
        ),
        pytest.param("UA: clean\nGlucose 500 mg/dL", 500, id="UA_clean_Glucose_500_mg/dL"),
    ],
)
def test_a_goal_or_fluid_nearby_hides_no_result(text, value):
    assert one_lab(text).value == value


@pytest.mark.parametrize(
    ("text", "value", "flag", "critical"),
    [
        pytest.param("K 6.9", 6.9, "high", True, id="K_6.9"),
        pytest.param("K 2.1", 2.1, "low", True, id="K_2.1"),
        pytest.param("Na 128", 128, "low", False, id="Na_128"),
        pytest.param("Cl 101", 101, "normal", False, id="Cl_101"),
        pytest.param("BUN 40", 40, "high", False, id="BUN_40"),
        pytest.param("Cr 2.1", 2.1, "high", False, id="Cr_2.1"),
        pytest.param("WBC 14.2", 14.2, "high", False, id="WBC_14.2"),
        pytest.param("WBC 12,500", 12500, "high", False, id="WBC_12_500"),
        pytest.param("Hgb 9.8", 9.8, "low", False, id="Hgb_9.8"),
        pytest.param("plt 90", 90, "low", False, id="plt_90"),
        pytest.param("Platelets 12,000", 12000, "low", True, id="Platelets_12_000"),
        pytest.param("TSH 0.01", 0.01, "low", False, id="TSH_0.01"),
        pytest.param("A1c 8.2", 8.2, "high", False, id="A1c_8.2"),
        pytest.param("glucose 240", 240, "high", False, id="glucose_240"),
        pytest.param("glucose 6.0", 6.0, "high", False, id="glucose_6.0"),
        pytest.param("creatinine 90", 90, "normal", False, id="creatinine_90"),
        pytest.param("Hgb 98", 98, "low", False, id="Hgb_98"),
        pytest.param("CRP 60", 60, "high", False, id="CRP_60"),
        pytest.param("CRP 0.4", 0.4, "normal", False, id="CRP_0.4"),
        pytest.param("CRP 3", 3, "unknown", False, id="CRP_3"),
        pytest.param("glucose 40", 40, "unknown", True, id="glucose_40"),
        pytest.param("bilirubin 20", 20, "unknown", False, id="bilirubin_20"),
        pytest.param("HbA1c 58", 58, "high", False, id="HbA1c_58"),
        pytest.param("Troponin 0.02", 0.02, "unknown", False, id="Troponin_0.02"),
        pytest.param("potassium 59", 59, "unknown", False, id="potassium_59"),
        pytest.param("hemoglobin was low at 12.1", 12.1, "low", False, id="hemoglobin_was_low_at_12.1"),
        pytest.param("eGFR 38", 38, "low", False, id="eGFR_38"),
        pytest.param("GFR est. 52", 52, "low", False, id="GFR_est._52"),
        pytest.param("eGFR 12", 12, "low", True, id="eGFR_12"),
        pytest.param("eGFR >60", 60, "normal", False, id="eGFR_>60"),
        pytest.param("eGFR (non-African American): 88", 88, "normal", False, id="eGFR_non-African_American_88"),
    ],
)
def test_a_result_without_a_unit_is_flagged_where_only_one_unit_or_every_unit_says_the_same(
    text, value, flag, critical
):
    lab = one_lab(text)
    assert (lab.value, lab.unit, lab.flag, lab.critical) == (value, "", flag, critical)


def test_egfr_is_read_with_its_unit_and_range():
    for text in (
        "eGFR: 45 mL/min/1.73m2",
        "eGFR 45 ml/min per 1.73 m² (>60)",
        "Estimated GFR | 45 | mL/min/1.73 m2 | >60 | L",
    ):
        lab = one_lab(text)
        assert (lab.name, lab.value, lab.unit, lab.ucum, lab.flag) == (
            "eGFR",
            45,
            "mL/min/1.73 m2",
            "mL/min/{1.73_m2}",
            "low",
        ), text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("vitamin K 2", id="vitamin_K_2"),
        pytest.param("vit K 2", id="vit_K_2"),
        pytest.param("L5", id="L5"),
        pytest.param("C5-6", id="C5-6"),
        pytest.param("pO2 on 4 L", id="pO2_on_4_L"),
        pytest.param("age 45", id="age_45"),
        pytest.param("K 20 mEq PO", id="K_20_mEq_PO"),
        pytest.param("KCl 40", id="KCl_40"),
        pytest.param("glucose tablets 4", id="glucose_tablets_4"),
        pytest.param("T4 1.2", id="T4_1.2"),
        pytest.param("B12", id="B12"),
        pytest.param("CK-MB 4.5", id="CK-MB_4.5"),
        pytest.param("K 03/04/2021", id="K_03/04/2021"),
        pytest.param("Na 08:00", id="Na_08_00"),
        pytest.param("glucose 3+", id="glucose_3+"),
        pytest.param("WBC 25 /hpf", id="WBC_25_/hpf"),
        pytest.param("WBC 5 per high power field", id="WBC_5_per_high_power_field"),
        pytest.param("K 562 cells", id="K_562_cells"),
        pytest.param("Cr 51 EDTA", id="Cr_51_EDTA"),
        pytest.param("CO2 4 L/min", id="CO2_4_L/min"),
        pytest.param("pH 7.32, CO2 55", id="pH_7.32_CO2_55"),
        pytest.param("glucose 2-hour test", id="glucose_2-hour_test"),
        pytest.param("albumin 2.5 ± 0.8 g/dL in the group", id="albumin_2.5_0.8_g/dL_in_the_group"),
        pytest.param("creatinine clearance 90", id="creatinine_clearance_90"),
    ],
)
def test_what_only_looks_like_a_result_without_a_unit_is_none(text):
    assert find_labs(text) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("keep K >4 and Mg >2", id="keep_K_>4_and_Mg_>2"),
        pytest.param("keep K 4 and Mg 2", id="keep_K_4_and_Mg_2"),
        pytest.param("goal K > 4", id="goal_K_>_4"),
        pytest.param("target INR 2-3", id="target_INR_2-3"),
        pytest.param("replete K if <3.5", id="replete_K_if_<3.5"),
        pytest.param("replete K <3.5 or Mg <1.8", id="replete_K_<3.5_or_Mg_<1.8"),
        pytest.param("transfuse if Hgb <7", id="transfuse_if_Hgb_<7"),
        pytest.param("hold for K >5.5 or creatinine >2.5", id="hold_for_K_>5.5_or_creatinine_>2.5"),
        pytest.param("Keep INR 2.0", id="Keep_INR_2.0"),
        pytest.param("maintain Hgb at 8", id="maintain_Hgb_at_8"),
        pytest.param("aim for an INR of 2.5", id="aim_for_an_INR_of_2.5"),
        pytest.param(
            "call house officer if temp >101.5, SBP <90, glucose >300",
            id="call_house_officer_if_temp_>101.5_SBP_<90_glucos",
        ),
        pytest.param("until INR 2.0", id="until_INR_2.0"),
    ],
)
def test_targets_and_conditions_are_no_result(text):
    assert find_labs(text) == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("When seen, his TSH was <0.01", [0.01], id="When_seen_his_TSH_was_<0.01"),
        pytest.param("admitted for K 6.9 and Cr 4", [6.9, 4], id="admitted_for_K_6.9_and_Cr_4"),
        pytest.param("K 4.5, goal 4-5; Mg 1.9", [4.5, 1.9], id="K_4.5_goal_4-5_Mg_1.9"),
        pytest.param("Keep NPO. K 6.9", [6.9], id="Keep_NPO._K_6.9"),
        pytest.param("We kept an eye on K 4.5", [4.5], id="We_kept_an_eye_on_K_4.5"),
    ],
)
def test_a_word_that_could_lead_to_a_target_hides_no_result(text, values):
    assert [l.value for l in find_labs(text)] == values


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(
            "Urinalysis:\nColor: yellow\nGlucose 250 mg/dL\nProtein 30 mg/dL\nWBC 12\n\nCHEMISTRY\nSodium 140 mmol/L",
            ["Sodium"],
            id="Urinalysis_Color_yellow_Glucose_250_mg/dL_Protei",
        ),
        pytest.param(
            "CSF:\nGlucose 60 mg/dL\nSerum glucose 110 mg/dL",
            ["Glucose"],
            id="CSF_Glucose_60_mg/dL_Serum_glucose_110_mg/dL",
        ),
        pytest.param(
            "URINE\nGLUCOSE 250 mg/dL\nBLOOD TRACE\nKETONES 40 mg/dL\nCBC\nHgb 9.8 g/dL\nWBC 14.2",
            ["Hemoglobin", "White blood cells"],
            id="URINE_GLUCOSE_250_mg/dL_BLOOD_TRACE_KETONES_40_m",
        ),
        pytest.param(
            "Pleural fluid analysis\nGlucose | 60 | mg/dL\nLDH | 300\nHemoglobin | 9.8 | g/dL",
            ["Hemoglobin"],
            id="Pleural_fluid_analysis_Glucose_60_mg/dL_LDH_300",
        ),
        pytest.param("Urinalysis: normal\nGlucose 250 mg/dL", ["Glucose"], id="Urinalysis_normal_Glucose_250_mg/dL"),
        pytest.param("UA: blood 3+, glucose 500 mg/dL", [], id="UA_blood_3+_glucose_500_mg/dL"),
        pytest.param(
            "Urinalysis\n\nProtein: 30\n\nGlucose: 250 mg/dL", [], id="Urinalysis_Protein_30_Glucose_250_mg/dL"
        ),
        pytest.param("Urine output:\nPotassium 6.9 mmol/L", ["Potassium"], id="Urine_output_Potassium_6.9_mmol/L"),
    ],
)
def test_a_list_below_the_heading_of_a_fluid_is_not_read_as_blood(text, names):
    assert [l.name for l in find_labs(text)] == names


@pytest.mark.parametrize(
    ("text", "labs"),
    [
        pytest.param("Hgb/Hct 8.2/25.", [("Hemoglobin", 8.2, "low"), ("Hematocrit", 25, "low")], id="Hgb/Hct_8.2/25."),
        pytest.param(
            "H and H are 10.8 and 38.7",
            [("Hemoglobin", 10.8, "low"), ("Hematocrit", 38.7, "normal")],
            id="H_and_H_are_10.8_and_38.7",
        ),
        pytest.param(
            "BUN and creatinine are of 27 and 1.9, K 4.1",
            [("Urea nitrogen", 27, "high"), ("Creatinine", 1.9, "high"), ("Potassium", 4.1, "normal")],
            id="BUN_and_creatinine_are_of_27_and_1.9_K_4.1",
        ),
        pytest.param(
            "HCT/HGB 31 % / 10.2 g/dL",
            [("Hematocrit", 31, "low"), ("Hemoglobin", 10.2, "low")],
            id="HCT/HGB_31_%_/_10.2_g/dL",
        ),
        pytest.param("AST/ALT ratio 1.2", [], id="AST/ALT_ratio_1.2"),
        pytest.param("Urine Na/K 20/40", [], id="Urine_Na/K_20/40"),
        pytest.param("H/H 120/80", [], id="H/H_120/80"),
    ],
)
def test_two_tests_in_one_phrase_have_a_number_each(text, labs):
    assert [(l.name, l.value, l.flag) for l in find_labs(text)] == labs
