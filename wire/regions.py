"""Between which degrees a country lies, so that a claim of a place can be told from one that contradicts itself. Pure.

A box a country, islands and overseas parts with the country's own code included, widened by a degree; a country on both sides of the 180th
meridian has all longitudes. From Natural Earth (1:50m map subunits), which is in the public domain. A code without a box is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping

_TABLE = """
AD 41 44 0 3, AE 21 28 50 58, AF 28 40 59 76, AG 15 19 -63 -60, AI 17 20 -65 -61, AL 38 44 18 23, AM 37 43 42 48, AO -20 -3 10 26,
AQ -90 -59 -180 180, AR -57 -20 -75 -52, AS -16 -13 -172 -169, AT 45 51 8 19, AU -56 -9 111 160, AW 11 14 -72 -68, AX 59 62 18 22,
AZ 37 43 43 52, BA 41 47 14 21, BB 12 15 -61 -58, BD 19 28 87 94, BE 48 53 1 8, BF 8 17 -7 4, BG 40 46 21 30, BH 24 28 49 52,
BI -6 -1 28 32, BJ 5 14 -1 5, BL 16 19 -64 -61, BM 31 34 -66 -63, BN 3 7 113 117, BO -24 -8 -71 -56, BQ 11 14 -70 -67,
BR -35 7 -76 -33, BS 19 28 -80 -71, BT 25 30 87 94, BW -28 -16 18 31, BY 50 58 22 34, BZ 14 20 -91 -86, CA 40 85 -143 -51,
CC -14 -11 95 98, CD -15 7 11 33, CF 1 12 13 29, CG -7 5 10 20, CH 44 49 4 12, CI 3 12 -10 -1, CK -23 -20 -161 -158,
CL -57 -16 -111 -65, CM 0 15 7 18, CN 17 55 72 136, CO -6 14 -81 -65, CR 7 13 -87 -81, CU 18 25 -86 -73, CV 13 19 -27 -21,
CW 11 14 -71 -67, CX -12 -9 104 107, CY 33 37 31 36, CZ 47 53 11 20, DE 46 57 4 17, DJ 9 14 40 45, DK 53 59 7 17, DM 14 17 -63 -60,
DO 16 21 -74 -67, DZ 17 39 -10 13, EC -6 3 -93 -74, EE 56 61 20 30, EG 20 33 23 38, EH 19 29 -19 -7, ER 11 20 35 45, ES 26 45 -20 6,
ET 2 16 31 49, FI 58 72 19 33, FJ -23 -11 -180 180, FK -54 -50 -63 -56, FM 4 11 137 164, FO 60 64 -9 -5, FR 40 53 -6 11, GA -5 4 7 16,
GB 49 62 -10 3, GD 11 14 -63 -60, GE 40 45 38 48, GF 1 7 -56 -50, GG 48 51 -4 -1, GH 3 13 -5 3, GL 58 85 -74 -10, GM 12 15 -18 -12,
GN 6 14 -17 -6, GP 14 18 -63 -60, GQ -1 5 7 13, GR 33 43 18 30, GS -60 -52 -40 -25, GT 12 19 -94 -87, GU 12 15 143 146,
GW 9 14 -18 -12, GY 0 10 -63 -55, HK 21 24 112 116, HM -55 -51 72 75, HN 11 18 -91 -82, HR 41 48 12 21, HT 17 22 -76 -70,
HU 44 50 15 24, ID -12 7 94 142, IE 50 57 -12 -5, IL 28 35 33 37, IM 53 56 -6 -3, IN 5 37 67 99, IO -9 -6 71 74, IQ 28 39 37 50,
IR 24 41 43 65, IS 62 68 -26 -12, IT 35 49 5 20, JE 48 51 -4 -1, JM 16 20 -80 -75, JO 28 35 33 41, JP 23 47 122 147, KE -6 7 32 43,
KG 38 45 68 82, KH 9 16 101 109, KI -13 5 -176 176, KM -14 -10 42 46, KN 16 19 -64 -61, KP 36 44 123 132, KR 32 40 125 132,
KW 27 32 45 50, KY 18 21 -83 -78, KZ 39 57 45 89, LA 12 24 99 109, LB 32 36 34 38, LC 12 16 -63 -59, LI 46 49 8 11, LK 4 11 78 83,
LR 3 10 -13 -6, LS -32 -27 26 31, LT 52 58 19 28, LU 48 52 4 8, LV 54 60 20 30, LY 18 35 8 27, MA 20 37 -19 0, MC 42 45 6 9,
MD 44 50 25 32, ME 40 45 17 22, MF 17 20 -65 -62, MG -27 -11 42 52, MH 4 13 165 173, MK 39 44 19 25, ML 9 26 -14 6, MM 8 30 91 103,
MN 40 54 86 121, MO 21 24 112 115, MP 13 20 144 147, MQ 13 16 -63 -59, MR 13 29 -19 -3, MS 15 18 -64 -61, MT 34 38 13 16,
MU -22 -18 56 59, MV 2 6 72 75, MW -19 -8 31 37, MX 13 34 -120 -85, MY -1 9 98 121, MZ -28 -9 29 42, NA -30 -15 10 27,
NC -24 -18 158 170, NE 10 25 -1 17, NF -31 -28 166 169, NG 3 15 1 16, NI 9 17 -89 -82, NL 49 55 2 9, NO 57 73 -11 32, NP 25 32 79 90,
NR -2 1 165 168, NU -21 -17 -171 -168, NZ -54 -33 -178 180, OM 15 28 50 61, PA 6 11 -85 -76, PE -20 1 -83 -67, PF -22 -7 -153 -135,
PG -13 0 139 157, PH 4 22 115 128, PK 22 39 59 79, PL 48 56 13 26, PM 45 49 -58 -55, PN -26 -23 -130 -127, PR 16 20 -69 -64,
PS 30 34 33 37, PT 31 44 -33 -5, PW 2 9 130 136, PY -29 -18 -64 -53, QA 23 28 49 53, RE -23 -19 54 57, RO 42 50 19 31, RS 41 48 17 24,
RU 40 83 -180 180, RW -4 0 27 32, SA 15 34 33 57, SB -13 -5 154 168, SC -6 -3 54 57, SD 7 24 20 40, SE 54 71 10 26, SG 0 3 102 105,
SH -18 -6 -16 -4, SI 44 48 12 18, SJ 73 82 9 35, SK 46 51 15 24, SL 5 11 -15 -9, SM 42 45 11 14, SN 11 18 -19 -10, SO -3 13 39 53,
SR 0 7 -60 -52, SS 2 14 23 37, ST -1 3 5 9, SV 12 16 -92 -86, SX 17 20 -65 -62, SY 31 39 34 44, SZ -29 -24 29 34, TC 20 23 -74 -70,
TD 6 25 12 25, TF -51 -45 50 72, TG 5 13 -2 3, TH 4 22 96 107, TJ 35 43 66 77, TK -11 -7 -174 -170, TL -11 -7 123 129, TM 34 44 51 68,
TN 29 39 6 13, TO -23 -17 -177 -172, TR 34 44 24 46, TT 9 13 -63 -59, TW 20 27 117 123, TZ -13 1 28 42, UA 43 54 21 42, UG -3 6 28 36,
US 17 73 -180 180, UY -36 -29 -60 -52, UZ 36 47 54 75, VA 40 43 11 14, VC 11 15 -63 -60, VE -1 14 -75 -58, VG 17 20 -66 -63,
VI 16 20 -67 -63, VN 7 25 101 111, VU -22 -12 165 171, WF -16 -12 -180 -175, WS -16 -12 -174 -170, XK 40 45 19 23, YE 11 20 41 56,
YT -14 -11 44 47, ZA -48 -21 15 39, ZM -20 -7 20 35, ZW -24 -14 24 35
"""
"""Code, least and greatest latitude, least and greatest longitude."""


def _read(table: str) -> Mapping[str, tuple[int, int, int, int]]:
    boxes = {}
    for row in table.replace("\n", " ").split(","):
        code, south, north, west, east = row.split()
        boxes[code] = int(south), int(north), int(west), int(east)
    return boxes


BOXES = _read(_TABLE)


def may_lie_in(region: str, latitude: int, longitude: int) -> bool:
    """Whether a place in whole degrees may lie in a country, by its ISO 3166-1 alpha-2 code."""
    south, north, west, east = BOXES.get(region, (-90, 90, -180, 180))
    return south <= latitude <= north and west <= longitude <= east
