/* What a search finds first: pages that tell, then the library's reference. */
var Scorer = {
  score: ([docname, , , , score]) => (docname.startsWith("_run/api") ? score / 4 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
