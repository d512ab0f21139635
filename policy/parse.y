/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lines of words, some of which head a block.  The grammar takes any
 * sequence of tokens: what is wrong with it is said in build.c, where it is
 * known what was meant, and reading goes on.
 */
%code requires {
#include "tree.h"
}

%code {
#include <stdlib.h>

int policy_yylex(YYSTYPE *value, void *scanner);
static void policy_yyerror(void *scanner, struct builder *b,
			   const char *message);
}

%define api.pure full
%define api.prefix {policy_yy}
%param { void *scanner }
%parse-param { struct builder *b }

%union {
	struct word *word;
	struct words words;
}

%token END_OF_LINE
%token <word> WORD OPEN CLOSE
%type <words> words head

/* A word goes on with its line, and a brace belongs to the head before it. */
%precedence ALONE
%precedence WORD OPEN

%%

file:	items
|	file CLOSE		{ policy_build_stray(b, $2); } items
;

items:	%empty
|	items item
;

item:	head %prec ALONE	{ policy_build_param(b, $1.first); }
|	head OPEN		{
					if (!policy_build_open(b, $1.first, $2))
						YYABORT;
				}
	items CLOSE		{ policy_build_close(b, $5); }
|	OPEN			{
					if (!policy_build_open(b, NULL, $1))
						YYABORT;
				}
	items CLOSE		{ policy_build_close(b, $4); }
;

head:	words %prec ALONE
|	words END_OF_LINE
;

words:	WORD			{ $$.first = $$.last = $1; }
|	words WORD		{
					$1.last->next = $2;
					$$.first = $1.first;
					$$.last = $2;
				}
;

%%

static void policy_yyerror(void *scanner, struct builder *b,
			   const char *message)
{
	struct word at = { .file = b->source->file, .line = b->line,
			   .column = b->column };

	policy_error(b, &at, NULL, "cannot read on: %s", message);
}
