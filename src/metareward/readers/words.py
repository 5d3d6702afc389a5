"""The words of verdicts: what judges call a score and a winner, in the languages they answer in.

All in lower case. A word that as often means something else (`Note`) counts only with the scale written out.
"""

from collections.abc import Iterable


def longest_first(words: Iterable[str]) -> list[str]:
    """In the order in which a pattern must try them, and always the same one."""
    return sorted(words, key=lambda word: (-len(word), word))


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.replace("\n", "|").split("|")) - {""}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SCORES = _phrases(
    """score|scoring|rating|grade|mark|points|verdict|total|overall
    result score|judge score|evaluation score|additive score|points awarded|points earned|points given
    puntuación|puntuacion|puntaje|calificación|calificacion|note|évaluation|evaluation|pointage
    bewertung|punktzahl|punkte|wertung|gesamtpunktzahl|gesamtbewertung|gesamtwertung|endpunktzahl|endbewertung
    gesamtnote|endnote|endergebnis|punktestand|gesamtscore|classificação|classificacao|note attribuée
    punteggio|voto|valutazione|pontuação|pontuacao|nota|avaliação|avaliacao
    beoordeling|cijfer|eindcijfer|totaalscore|eindscore|poäng|totalpoäng|betyg|poeng|karakter|pisteet|kokonaispisteet|arvosana
    ocena|wynik|punkty|skóre|hodnocení|pontszám|összpontszám|értékelés|scor|punctaj
    puan|skor|nilai|điểm|điểm số
    оценка|балл|баллы|рейтинг|итог|итого|оцінка|бал|βαθμολογία|得分|评分|分数|打分|评价|總分|評分|分數|总分|总评|总得分|总评分|综合评分
    综合得分|打分结果|评级|最终评级|合計点|総得点|最終的なスコア
    最终得分|最终评分|最终分数|最終得分|最終評分|总体评分|スコア|点数|得点|評価|総合評価|総合点|総合スコア|最終スコア|最終評価|合計
    점수|평가 점수|평점|총점|평가|종합 점수|최종 점수|총 점수
    स्कोर|अंक|कुल अंक|कुल स्कोर|คะแนน|คะแนนรวม|الدرجة
    التقييم|النتيجة|الدرجة النهائية|النتيجة النهائية
    التقييم النهائي|نمره|امتیاز|ציון"""
)
ENGLISH = _words("score scoring rating grade mark points verdict total overall final")
"""With these labels a comma is no decimal point."""

WITH_SCALE = frozenset({"note", "nota"})

WINNERS = _phrases(
    """winner|better one|better judgment|better judgement|better response|better answer|better review
    ganador|ganadora|gagnant|gagnante|vainqueur|gewinner|sieger|vencedor|vencedora|vincitore
    winnaar|vinnare|vinder|vinner|voittaja|zwycięzca|vítěz|győztes|câștigător|kazanan|pemenang
    победитель|переможець|νικητής|胜者|获胜者|赢家|勝者|獲勝者|승자|विजेता|ผู้ชนะ|الفائز|המנצח"""
)

TOTAL = _words(
    """total final overall combined totale finale globale global général générale endgültige gesamte
    complessivo complessiva finala общая общий итоговая итоговый końcowa końcowy łączna toplam genel
    celkové akhir tổng 最终 最終 总体 総合 최종 총"""
)
"""Words that make a score the total, so that scores of single criteria beside it are none."""

WHOLE = (
    "总",
    "總",
    "综合",
    "最终",
    "最終",
    "総合",
    "合計",
    "총",
    "종합",
    "최종",
    "gesamt",
    "eind",
    "end",
    "totaal",
)
"""Beginnings of labels that do the same."""

OWN = _words(
    """my the this your given awarded assigned earned resulting numerical numeric additive cumulative revised
    updated corrected adjusted amended new mi meine mon ma la le el die der das il"""
)
"""Words before the label that change nothing."""

AFTER = _words("is would be will was awarded assigned given earned")
"""Words after the label that change nothing."""

MEASURES = _words("score rating grade mark")
"""What the label of a rubric of one's own may be followed by: `Truthfulness score: 4`."""

LEADS = _phrases(
    """answer|final answer|conclusion|in conclusion|result|results|output|final verdict|verdict|evaluation
    final evaluation|final result
    judgment|judgement|final judgment|assessment|overall assessment|therefore|thus|hence|so
    overall|finally|in total|in summary|summary|to sum up|consequently|accordingly|as a result"""
)
"""What may lead to a verdict on its line: `Therefore, the total score is 3`, `Answer: Score: 4`."""

ABOUT = _phrases(
    """for this response|for the response|of this response|of the response|for this answer|for the answer
    for the assistant's response|for the ai assistant's response|for this judgment"""
)
"""What may follow the label: the score of nothing less than the response."""

UNITS = (
    r"(?:points?|pts?\.?|marks?|stars?|puntos?|punkte?n?|punti|punto|pontos?|ponto|punten|poäng|poeng"
    r"|pistettä|pkt\.?|punkty|punktów|body|bodů|баллов|балла|баллы|балл|бали|балів|puan|poin|điểm|分|点|點|점)"
)
OF = r"(?:/|out of|of|over|von|sur|de|su|из|av|van de|van|din|na|dari|trên|من|از|中の|中)"

NEUTRAL = _words(
    """justification justifications reasoning explanation analysis rationale comment comments remark
    remarks feedback evaluation assessment review summary conclusion conclusions verdict result results
    strengths
    strength weaknesses weakness pros cons positives negatives improvements improvement suggestions
    suggestion
    issues note notes judgment judgement grading scoring score scores rating grade total final overall
    answer
    output breakdown critique thoughts step steps decision outcome brief short detailed points mark marks
    findings observations observation task assigned allocated given solution awarded scored graded rubric
    winner comparison bewertung begründung gesamt fazit justificación conclusión explicación puntuación avis
    reason reasons why overview background context details highlights confidence certainty
    errors mistakes flaws limitations
    concerns recommendation recommendations correction
    justificativa 理由 评价 分析 总结 结论 說明 说明 评分 得分 評価 総評 結論 이유 평가 결론"""
)
"""Words of a heading that names no criterion of its own."""

GLUE = _words(
    "here s me i we let it so thus therefore for and of the my a b an in is are below as follows per on to"
)

_COUNTING = """zero one two three four five six seven eight nine ten
null eins zwei drei vier fünf sechs sieben acht neun zehn
zéro - deux trois quatre cinq six sept huit neuf dix
cero uno dos tres cuatro cinco seis siete ocho nueve diez
zero - dois três quatro cinco seis sete oito nove dez
zero uno - tre quattro cinque sei sette otto nove dieci
ноль один два три четыре пять шесть семь восемь девять десять
零 一 二 三 四 五 六 七 八 九 十"""

NUMBERS = {name: number for line in _COUNTING.splitlines() for number, name in enumerate(line.split())}
"""Numbers in words. Left out are the German `null`, which JSON has for nothing, and English words (`due`)."""
del NUMBERS["null"], NUMBERS["-"]
