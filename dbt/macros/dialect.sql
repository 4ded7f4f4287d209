{# What databases spell differently. A project on another one writes <adapter>__<name> for what it lacks. #}

{% macro utc(column) %}{{ return(adapter.dispatch('utc', 'gainsight_pipelines')(column)) }}{% endmacro %}

{% macro default__utc(column) %}{{ column }} at time zone 'UTC'{% endmacro %}


{# The day (UTC) of a time. #}
{% macro utc_date(column) -%}
    cast({{ gainsight_pipelines.utc(column) }} as date)
{%- endmacro %}


{# The first day (UTC) of the month or week of a time. #}
{% macro utc_trunc(part, column) -%}
    cast({{ dbt.date_trunc(part, gainsight_pipelines.utc(column)) }} as date)
{%- endmacro %}


{# The day that "the last 90 days" end with. #}
{% macro as_of() -%}
    {%- set day = var('gainsight_as_of', none) -%}
    {%- if day -%} cast('{{ day }}' as date) {%- else -%} {{ gainsight_pipelines.utc_date(dbt.current_timestamp()) }} {%- endif -%}
{%- endmacro %}


{# A number as deliveries have it: nine digits after the point, empty beyond 29 before it. #}
{% macro exact(column) %}{{ return(adapter.dispatch('exact', 'gainsight_pipelines')(column)) }}{% endmacro %}

{% macro default__exact(column) %}cast({{ column }} as numeric(38, 9)){% endmacro %}

{% macro postgres__exact(column) -%}
    cast(case when abs({{ column }}) < 1e29 then {{ column }} end as numeric(38, 9))
{%- endmacro %}


{# A list of texts as a JSON array, which deliveries make of it. #}
{% macro json_list(column) %}{{ return(adapter.dispatch('json_list', 'gainsight_pipelines')(column)) }}{% endmacro %}

{% macro default__json_list(column) %}{{ column }}{% endmacro %}

{% macro postgres__json_list(column) %}to_jsonb({{ column }}){% endmacro %}


{# The value of a key of a JSON column, as text. #}
{% macro json_text(column, key) %}{{ return(adapter.dispatch('json_text', 'gainsight_pipelines')(column, key)) }}{% endmacro %}

{% macro postgres__json_text(column, key) %}({{ column }} ->> '{{ key | replace("'", "''") }}'){% endmacro %}

{% macro duckdb__json_text(column, key) %}{{ return(gainsight_pipelines.postgres__json_text(column, key)) }}{% endmacro %}

{% macro default__json_text(column, key) %}
    {{ exceptions.raise_compiler_error(
        "gainsight_pipelines knows JSON in PostgreSQL and DuckDB alone. Write a macro " ~ target.type
        ~ "__json_text(column, key) in your project that gives the text of a key."
    ) }}
{% endmacro %}


{# Whether there are tables about the pulls: on PostgreSQL, unless the variable says otherwise. #}
{% macro has_operations() -%}
    {%- set said = var('gainsight_operations', none) -%}
    {{ return(target.type == 'postgres' if said is none else said | as_bool) }}
{%- endmacro %}


{# A typed view beside the table of a source: rows come from the view, lineage from the source. #}
{% macro beside(source_relation, identifier) -%}
    {{ api.Relation.create(database=source_relation.database, schema=source_relation.schema, identifier=identifier) }}
{%- endmacro %}


{# 1 where the condition holds, else 0: what sums count. #}
{% macro one_if(condition) -%}
    cast(sum(case when {{ condition }} then 1 else 0 end) as bigint)
{%- endmacro %}


{# The Net Promoter Score of counts: -100 to 100, one digit after the point; empty without responses. #}
{% macro nps(promoters, detractors, responses) -%}
    cast(round(100.0 * ({{ promoters }} - {{ detractors }}) / nullif({{ responses }}, 0), 1) as numeric(5, 1))
{%- endmacro %}
