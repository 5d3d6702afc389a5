"""The words of verdicts: what judges call a score and a winner, in the languages they answer in.

All in lower case. A word that as often means something else (`Note`) counts only with the scale written out.
"""


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.replace("\n", "|").split("|")) - {""}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SCORES = _phrases(
    """score|scoring|rating|grade|mark|points|verdict|total|overall
    puntuación|puntuacion|puntaje|calificación|calificacion|note|évaluation|evaluation|pointage
    bewertung|punktzahl|punkte|wertung|gesamtpunktzahl|gesamtbewertung|gesamtwertung|endpunktzahl|endbewertung
    punteggio|voto|valutazione|pontuação|pontuacao|nota|avaliação|avaliacao
    beoordeling|cijfer|eindcijfer|totaalscore|eindscore|poäng|betyg|poeng|karakter|pisteet|arvosana
    ocena|wynik|punkty|skóre|hodnocení|pontszám|értékelés|scor|punctaj|puan|skor|nilai|điểm|điểm số
    оценка|балл|баллы|оцінка|бал|βαθμολογία|得分|评分|分数|打分|评价|總分|評分|分數|总分|总评|总得分|总评分|综合评分
    最终得分|最终评分|最终分数|最終得分|最終評分|总体评分|スコア|点数|得点|評価|総合評価|総合点|総合スコア|最終スコア|最終評価|合計
    점수|평점|총점|평가|종합 점수|최종 점수|총 점수|स्कोर|अंक|คะแนน|الدرجة|التقييم|النتيجة|ציון"""
)
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

OWN = _words("my the this your given awarded resulting numerical numeric mi meine mon ma la el die")
"""Words before the label that change nothing."""

LEADS = _phrases(
    """answer|final answer|conclusion|in conclusion|result|results|output|final verdict|verdict|evaluation
    final evaluation|judgment|judgement|final judgment|assessment|overall assessment|therefore|thus|hence|so
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
OF = r"(?:/|out of|of|over|von|sur|de|su|из|av|van de|van|din|trên|中の|中)"

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
    justificativa 理由 评价 分析 总结 结论 說明 说明 评分 得分 評価 総評 結論 이유 평가 결론"""
)
"""Words of a heading that names no criterion of its own."""

GLUE = _words(
    "here s me i we let it so thus therefore for and of the my a b an in is are below as follows per on to"
)

NUMBERS = {
    name: number
    for number, name in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
}
