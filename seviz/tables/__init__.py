"""Each result as rows, said once; written as text, CSV, HTML, LaTeX or Markdown from there."""
